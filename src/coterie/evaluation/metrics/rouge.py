"""ROUGE: which words, word pairs or sequences of words two texts share (Lin 2004), by Google's ``rouge-score``."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from coterie.errors import MissingExtra
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened

log = logging.getLogger("coterie")

Kind = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]

WORD = re.compile("[A-Za-z0-9]+")
"""What ROUGE takes for a word. It sees no other letters than these."""

KEPT_TEXTS = 10_000
"""Texts whose words are remembered."""


@dataclass(frozen=True)
class Rouge:
    """F1, 0 to 1, over words (`rouge1`), pairs of words (`rouge2`) or the longest common subsequence.

    `rougeL` reads each text as one sequence, `rougeLsum` as sentences that end with their lines. The paper's
    tables split sentences with NLTK instead, whose model of English is a download: on texts of several
    sentences in a line, `rougeLsum` is not comparable with them.

    A reference without a word of ASCII letters or digits has the score ``None``: ROUGE cannot read it.
    """

    name: Kind = "rougeLsum"
    stemmed: bool = True
    """Words are compared by their Porter stems, as in the paper's tables."""
    max_words: int = 4_000
    """What follows in a text is not read: a common subsequence takes time and memory by the product of lengths."""

    def __post_init__(self) -> None:
        if self.max_words < 1:
            raise ValueError(f"max_words is at least 1, not {self.max_words!r}")

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _Rouge(self))


class _Rouge:
    def __init__(self, spec: Rouge) -> None:
        try:
            from nltk.stem.porter import PorterStemmer
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise MissingExtra(f"the metric {spec.name!r}", "eval", "rouge-score") from error
        self.cut = 0
        self._spec = spec
        self._words = _Words(PorterStemmer() if spec.stemmed else None)
        self._scorer: Any = RougeScorer([spec.name], tokenizer=self._words)

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        return [self._score(self._read(pair.hypothesis), self._read(pair.reference)) for pair in pairs]

    def _score(self, hypothesis: str, reference: str) -> float | None:
        if not self._words.tokenize(reference):
            return None
        found: float = self._scorer.score(target=reference, prediction=hypothesis)[self._spec.name].fmeasure
        return found

    def _read(self, text: str) -> str:
        beyond = next(islice(WORD.finditer(text), self._spec.max_words, None), None)
        if beyond is None:
            return text
        if not self.cut:
            log.warning("%s reads %d words of a text, and some have more", self._spec.name, self._spec.max_words)
        self.cut += 1
        return text[: beyond.start()]


class _Words:
    """The words of a text as rouge-score makes them; of the texts and words met last, each is read once."""

    def __init__(self, stemmer: Any | None) -> None:
        self.stem = lru_cache(100_000)(stemmer.stem) if stemmer else None
        self.tokenize = lru_cache(KEPT_TEXTS)(self._tokenized)

    def _tokenized(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        words: list[str] = tokenize(text, self if self.stem else None)
        return words
