"""ROUGE and BLEU: worked out by hand, and what they cannot read."""

from __future__ import annotations

import math
from typing import Any

import pytest

from coterie.evaluation.metrics import build

pytest.importorskip("rouge_score", reason="ROUGE needs the extra eval")
pytest.importorskip("sacrebleu", reason="BLEU needs the extra eval")


def score(name: str, hypothesis: str, reference: str, **settings: Any) -> float | None:
    with build(name, **settings).open() as metric:
        return metric.score([hypothesis], [reference])[0]


def f1(shared: int, hypothesis: int, reference: int) -> float:
    precision, recall = shared / hypothesis, shared / reference
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("name", "hypothesis", "reference", "wanted"),
    [
        ("rouge1", "the cat sat", "the cat is on the mat", f1(2, 3, 6)),
        ("rouge2", "the cat sat", "the cat is on the mat", f1(1, 2, 5)),
        ("rougeL", "mat the sat cat", "the cat is on the mat", f1(2, 4, 6)),
        ("rougeL", "d e f\na b c", "a b c\nd e f", f1(3, 6, 6)),
        ("rougeLsum", "d e f\na b c", "a b c\nd e f", 1.0),
        ("rougeLsum", "d e f. a b c.", "a b c. d e f.", f1(3, 6, 6)),
        ("rouge1", "The CAT, sat!", "the cat sat", 1.0),
        ("rouge1", "dog", "cat", 0.0),
        ("rouge1", "", "cat", 0.0),
        ("rouge2", "cat", "cat", 0.0),
    ],
)
def test_rouge_by_hand(name: str, hypothesis: str, reference: str, wanted: float) -> None:
    assert score(name, hypothesis, reference) == pytest.approx(wanted, abs=1e-12)


def test_rouge_compares_stems_unless_told_not_to() -> None:
    assert score("rouge1", "cats sitting", "cat sits") == 1.0
    assert score("rouge1", "cats sitting", "cat sits", stemmed=False) == 0.0


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
def test_rouge_does_not_know_about_a_reference_that_it_cannot_read(name: str) -> None:
    assert score(name, "你好世界", "你好世界") is None
    assert score(name, "!", "?!") is None
    assert score(name, "你好世界", "hello world") == 0.0


def test_rouge_reads_as_many_words_as_it_is_told() -> None:
    with build("rouge1", max_words=3).open() as metric:
        assert metric.score(["a b c. d e", "a b c .,!"], ["a b c", "a b c"]) == [1.0, 1.0]
        assert metric.cut == 1


@pytest.mark.parametrize(
    ("hypothesis", "reference", "wanted"),
    [
        # The order without a match counts 1 / (2 * 3): exponential smoothing.
        ("the cat sat on the mat", "the cat is on the mat", (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** (1 / 4)),
        ("the cat", "the cat is here", math.exp(1 - 4 / 2)),
        ("Paris", "Paris", 1.0),
        ("Paris .", "Paris.", 1.0),
        ("paris", "Paris", 0.0),
        ("", "Paris", 0.0),
    ],
)
def test_bleu_by_hand(hypothesis: str, reference: str, wanted: float) -> None:
    assert score("bleu", hypothesis, reference) == pytest.approx(100 * wanted, abs=1e-9)


def test_bleu_is_told_how_words_are_found() -> None:
    assert score("bleu", "今天天气很好吗", "今天天气很好吧") == 0.0
    found = score("bleu", "今天天气很好吗", "今天天气很好吧", tokenize="zh")
    assert found is not None
    assert 0 < found < 100
    assert score("bleu", "paris", "Paris", lowercase=True) == pytest.approx(100)
    assert score("bleu", "a b x", "a b c", smooth_method="none") == 0.0
