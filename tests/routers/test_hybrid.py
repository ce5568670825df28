"""Hybrid LLM's router: p for the small member, 1 - p for the large one, so that thresholds are preferences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_readers
from coterie.errors import ConfigError
from coterie.routers.forecast import Kept, Queries

pytest.importorskip("torch", reason="this router needs the extra torch")

from coterie.routers.classifier import TextClassifier
from coterie.routers.hybrid import HybridRouter

ASKED = Queries(tiny_readers.queries(6))


def read(place: Path, n_labels: int) -> TextClassifier:
    return TextClassifier.load(tiny_readers.classifier(place, n_labels), n_labels, 512)


def test_the_small_member_is_preferred_as_often_as_the_paper_says(tmp_path: Path) -> None:
    classifier = read(tmp_path, 1)
    router = HybridRouter(("large", "small"), "large", classifier)
    p = 1 / (1 + np.exp(-classifier.logits(classifier.reader.rows(ASKED.texts))[:, 0]))
    quality = router.forecast(ASKED).quality
    np.testing.assert_allclose(quality, np.stack([1 - p, p], axis=1))
    for row, chance in zip(quality.tolist(), p.tolist(), strict=True):
        assert router.scale.preference(row[1], row[0]) == pytest.approx(chance)


def test_more_members_are_each_compared_with_the_reference(tmp_path: Path) -> None:
    router = HybridRouter(("small", "large", "tiny"), "large", read(tmp_path / "model", 2), {"kind": "prob"})
    router.save(tmp_path)
    again = HybridRouter.load(Kept(router.members, dict(router.settings()), {}, tmp_path))
    assert again.labels == {"kind": "prob"}
    np.testing.assert_array_equal(again.forecast(ASKED).quality, router.forecast(ASKED).quality)
    with pytest.raises(ConfigError, match="is none of its members"):
        HybridRouter.load(Kept(router.members, {**router.settings(), "reference": "huge"}, {}, tmp_path))
    with pytest.raises(ConfigError, match="has 2 labels, and 1 are needed"):
        HybridRouter.load(Kept(("small", "large"), dict(router.settings()), {}, tmp_path))
