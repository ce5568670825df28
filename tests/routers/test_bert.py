"""RouteLLM's BERT classifier: 1 - (p1 + p2), from a folder in the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_readers
from coterie.errors import ConfigError
from coterie.routers.forecast import Kept, Queries

pytest.importorskip("torch", reason="this router needs the extra torch")

from coterie.routers.bert import BertRouter

ASKED = Queries(tiny_readers.queries(6))


def win_rates(folder: str, texts: tuple[str, ...]) -> list[float]:
    """As the published router tells them, with transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rates = []
    for text in texts:
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=48)).logits[0]
        shares = torch.softmax(logits, 0).tolist()
        rates.append(1 - (shares[1] + shares[2]))
    return rates


def test_a_published_classifier_gives_its_win_rates(tmp_path: Path) -> None:
    folder = tiny_readers.classifier(tmp_path, 3)
    router = BertRouter.published(folder, strong="large", weak="small")
    asked = Queries((*ASKED.texts, "", "a b c d e f g " * 20))
    rates = win_rates(folder, asked.texts)
    quality = router.forecast(asked).quality
    np.testing.assert_allclose(quality[:, 0], rates, atol=1e-6)
    np.testing.assert_allclose(quality.sum(1), 1.0)
    found = [router.scale.preference(*row) for row in quality.tolist()]
    np.testing.assert_allclose(found, rates, atol=1e-6)
    assert np.ptp(rates) > 0.01


def test_three_labels_are_needed_and_two_members(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has 2 labels, and 3 are needed"):
        BertRouter.published(tiny_readers.classifier(tmp_path, 2), "large", "small")
    with pytest.raises(ConfigError, match="between two members"):
        BertRouter.published(str(tmp_path), "large", "large")


def test_an_artifact_gives_the_router_again_with_three_labels_for_each_weak_member(tmp_path: Path) -> None:
    from coterie.routers.classifier import TextClassifier

    classifier = TextClassifier.load(tiny_readers.classifier(tmp_path / "model", 6), 6, 512)
    router = BertRouter(("small", "large", "tiny"), "large", classifier)
    router.save(tmp_path)
    again = BertRouter.load(Kept(router.members, dict(router.settings()), {}, tmp_path))
    np.testing.assert_array_equal(again.forecast(ASKED).quality, router.forecast(ASKED).quality)
