"""Parts as a person writes them in one argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.errors import ConfigError
from coterie.evaluation.arguments import is_mapping, mapping, named
from coterie.evaluation.fusers import fuser_of
from coterie.evaluation.judges import judge_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("length", ("", "length")),
        (" length ", ("", "length")),
        ("mine=length", ("mine", "length")),
        ("a b = runs/x=1 ", ("a b", "runs/x=1")),
        ("{kind: x, model: a=b}", ("", "{kind: x, model: a=b}")),
        (" {kind: a=b}", ("", "{kind: a=b}")),
        ("x={kind: a=b}", ("x", "{kind: a=b}")),
        ("=length", ("", "length")),
        ("", ("", "")),
    ],
)
def test_a_name_stands_before_the_first_equals_sign_outside_braces(text: str, found: tuple[str, str]) -> None:
    assert named(text) == found


def test_a_mapping_is_read_from_braces() -> None:
    assert is_mapping("{kind: x}")
    assert not is_mapping("kind")
    assert mapping("{kind: x, k: 2}") == {"kind": "x", "k": 2}


@pytest.mark.parametrize("of", [judge_of, fuser_of])
@pytest.mark.parametrize(
    ("text", "error"),
    [("{kind", "is no YAML"), ("{}: {", "is no YAML"), ("{a}, {b}", "is no YAML"), ("nothing/here", "folder")],
)
def test_what_is_written_otherwise_is_refused_by_judges_and_fusers_alike(of: object, text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        of(text)  # type: ignore[operator]


def test_a_fuser_has_the_name_it_is_given_or_its_own(tmp_path: Path) -> None:
    assert [fuser_of(text)[0] for text in ("aggregate", "mine=aggregate")] == ["aggregate", "mine"]
    assert fuser_of("{kind: generative, member: writer}")[0] == "writer"
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": null}', encoding="utf-8")
    with pytest.raises(ConfigError, match="does not say which model it stands on"):
        fuser_of(str(tmp_path / "adapter"))
    assert fuser_of(str(tmp_path / "adapter"), "someone/tiny")[0] == "adapter"
    name, _, folder = fuser_of(str(tmp_path))
    assert (name, folder) == (tmp_path.name, tmp_path)
