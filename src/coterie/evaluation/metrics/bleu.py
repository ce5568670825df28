"""BLEU of a single text (Papineni et al. 2002), by ``sacrebleu``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from coterie.errors import MissingExtra
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU, 0 to 100: up to 4-grams, of as many orders as the hypothesis has words.

    A mean over prompts is not the BLEU of a corpus.
    """

    name: str = "bleu"
    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    """How words are found. `13a` splits at white space and ASCII punctuation: Chinese wants `zh`, Japanese `char`."""
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    """What an order without a match counts (Chen and Cherry 2014)."""
    lowercase: bool = False

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _Bleu(self))


class _Bleu:
    cut = 0
    """It reads texts of any length."""

    def __init__(self, spec: Bleu) -> None:
        try:
            from sacrebleu.metrics.bleu import BLEU
        except ImportError as error:
            raise MissingExtra(f"the metric {spec.name!r}", "eval", "sacrebleu") from error
        self._bleu: Any = BLEU(
            tokenize=spec.tokenize,
            smooth_method=spec.smooth_method,
            lowercase=spec.lowercase,
            effective_order=True,
        )

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        return [self._bleu.sentence_score(pair.hypothesis, [pair.reference]).score for pair in pairs]
