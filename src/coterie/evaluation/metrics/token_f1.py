"""Token F1: how many words an answer shares with the gold answer (SQuAD, 1606.05250)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened
from coterie.evaluation.metrics.words import Reading, words


@dataclass(frozen=True)
class TokenF1:
    """F1, 0 to 1, of the words of hypothesis and reference, each counted as often as it stands there.

    Where one of the two has no words (punctuation and articles alone), the score is 1 if neither has any, else 0, as
    in the evaluators of SQuAD 2 and CoQA. "unknown" and "CANNOTANSWER" are words like any other, so an answer that
    says exactly this has 1 where the gold answer does.
    """

    name: str = "f1"
    reading: Reading = "unicode"
    """`official` for the numbers of the published evaluators to the letter, on text that is not ASCII too."""

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _TokenF1(self.reading))


class _TokenF1:
    cut = 0
    """It reads texts of any length."""

    def __init__(self, reading: Reading) -> None:
        self._reading: Reading = reading

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        texts = dict.fromkeys(text for pair in pairs for text in (pair.hypothesis, pair.reference))
        counted = {text: Counter(words(text, self._reading)) for text in texts}
        return [_f1(counted[pair.hypothesis], counted[pair.reference]) for pair in pairs]


def _f1(hypothesis: Counter[str], reference: Counter[str]) -> float:
    if not hypothesis or not reference:
        return float(hypothesis == reference)
    shared = (hypothesis & reference).total()
    return 2 * shared / (hypothesis.total() + reference.total())
