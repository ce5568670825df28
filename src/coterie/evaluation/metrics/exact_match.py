"""Exact match: whether an answer is the gold answer, but for case, punctuation and articles (SQuAD, 1606.05250)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened
from coterie.evaluation.metrics.words import Reading, words


@dataclass(frozen=True)
class ExactMatch:
    """1 where hypothesis and reference have the same words in the same order, else 0."""

    name: str = "exact_match"
    reading: Reading = "unicode"
    """`official` for the numbers of the published evaluators to the letter, on text that is not ASCII too."""

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _ExactMatch(self.reading))


class _ExactMatch:
    cut = 0
    """It reads texts of any length."""

    def __init__(self, reading: Reading) -> None:
        self._reading: Reading = reading

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        texts = dict.fromkeys(text for pair in pairs for text in (pair.hypothesis, pair.reference))
        read = {text: words(text, self._reading) for text in texts}
        return [float(read[pair.hypothesis] == read[pair.reference]) for pair in pairs]
