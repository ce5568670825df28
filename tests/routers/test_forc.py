"""FORC's meta-model: one text a member, and what comes back from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_readers
from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.forecast import Kept, Queries

pytest.importorskip("torch", reason="this router needs the extra torch")

from coterie.routers.classifier import TextClassifier
from coterie.routers.forc import ForcRouter

MEMBERS = ("a", "b", "c")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    return TextClassifier.load(tiny_readers.classifier(tmp_path_factory.mktemp("forc"), 1), 1, 512)


def test_each_member_is_asked_about_by_a_plain_prefix(one: TextClassifier) -> None:
    router = ForcRouter(MEMBERS, one)
    found = router.forecast(Queries(("d e f", ""))).quality
    assert found.shape == (2, 3)
    assert (router.kind, router.scale, router.reads) == ("forc", Scale.SCORE, "texts")
    for row, text in enumerate(("d e f", "")):
        for column, member in enumerate(MEMBERS):
            logit = one.logits(one.reader.rows([f"<{member}>{text}"]))[0, 0]
            assert found[row, column] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert len(set(found[0])) == 3


def test_no_queries_give_no_rows(one: TextClassifier) -> None:
    assert ForcRouter(MEMBERS, one).forecast(Queries(())).quality.shape == (0, 3)


def test_a_folder_gives_the_router_again_and_refuses_what_it_did_not_save(one: TextClassifier, tmp_path: Path) -> None:
    router = ForcRouter(MEMBERS, one)
    router.save(tmp_path)
    said = dict(router.settings())
    again = ForcRouter.load(Kept(MEMBERS, said, {}, tmp_path))
    asked = Queries(tiny_readers.queries(5))
    np.testing.assert_array_equal(again.forecast(asked).quality, router.forecast(asked).quality)
    for name, wrong, says in (
        ("heads", "two", "heads"),
        ("heads", "each", "has 1 labels, and 3 are needed"),
        ("networks", 0, "networks"),
        ("max_tokens", 0, "max_tokens"),
        ("keep", None, "keep"),
    ):
        with pytest.raises(ConfigError, match=says):
            ForcRouter.load(Kept(MEMBERS, {**said, name: wrong}, {}, tmp_path))


def test_several_networks_are_averaged_and_their_spread_is_the_uncertainty(
    one: TextClassifier, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    two = TextClassifier.load(tiny_readers.classifier(tmp_path_factory.mktemp("other"), 1), 1, 512)
    two.model.classifier.bias.data += 1.0
    router, asked = ForcRouter(MEMBERS, one, "shared", (two,)), Queries(tiny_readers.queries(4))
    each = [ForcRouter(MEMBERS, network).forecast(asked).quality for network in (one, two)]
    found = router.forecast(asked)
    np.testing.assert_allclose(found.quality, np.mean(each, axis=0))
    assert found.uncertainty is not None
    np.testing.assert_allclose(found.uncertainty, np.std(each, axis=0))
    assert found.uncertainty.min() > 0.01
    router.save(tmp_path)
    again = ForcRouter.load(Kept(MEMBERS, dict(router.settings()), {}, tmp_path)).forecast(asked)
    np.testing.assert_array_equal(again.quality, found.quality)
