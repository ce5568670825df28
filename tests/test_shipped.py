"""The trained parts that come with the package: found by name, and each with a card that says what it is worth."""

from __future__ import annotations

import json

import pytest

from coterie import ConfigError
from coterie.shipped import PREFIX, folder, names


def test_names_are_sorted_and_lead_to_folders_with_a_card() -> None:
    assert names() == tuple(sorted(names()))
    for name in names():
        place = folder(name)
        assert place is not None
        assert name == PREFIX + place.name
        assert isinstance(json.loads((place / "card.json").read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name", ["llm-blender/PairRM", "./coterie/pair", "coterie", "", "/tmp/coterie/x", "COTERIE/x"])
def test_a_name_of_another_kind_is_none_of_them(name: str) -> None:
    assert folder(name) is None


@pytest.mark.parametrize("name", ["coterie/no-such-part", "coterie/", "coterie/../shipped", "coterie/__pycache__"])
def test_a_part_that_does_not_come_with_it_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        folder(name)
    assert repr(name) in str(caught.value)
    assert all(known in str(caught.value) for known in names())
