"""What a metric is: a specification, and what it opens, which scores hypotheses against references.

What no score can be made of is decided here, once for all metrics:

- A reference without text (empty, or white space alone) says nothing, so the score is ``None``: unknown, not 0.
- A hypothesis without text is an answer, and a bad one: it is scored like any other. Metrics that count what
  both texts share give it 0, networks give it whatever they make of it.
- Half a surrogate pair, which JSON can carry and no tokenizer reads, is read as U+FFFD.
- A score that is not a number is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Pair:
    """A text, and the reference it is held against."""

    hypothesis: str
    reference: str
    source: str = ""
    """What both answer; empty where nobody says."""


class Metric(Protocol):
    """A metric as specified: frozen, comparable, its fields being its settings."""

    @property
    def name(self) -> str:
        """The column of its scores."""
        ...

    def open(self) -> AbstractContextManager[OpenMetric]:
        """The metric, all that it needs loaded once, until the block ends. Raises `ConfigError`, `MissingExtra`."""
        ...


class Compute(Protocol):
    """What a metric does, for pairs that all differ and whose references have text."""

    @property
    def cut(self) -> int:
        """Texts, or pairs read together, of which only a part was read."""
        ...

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[float | None]: ...


class OpenMetric:
    """An open metric. More is better, whichever it is."""

    def __init__(self, name: str, compute: Compute) -> None:
        self.name = name
        self._compute: Compute | None = compute

    @property
    def cut(self) -> int:
        """How many texts were too long so far, and were scored by the part that was read."""
        return self._open().cut

    def score(
        self, hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str] | None = None
    ) -> list[float | None]:
        """The score of each hypothesis against the reference at its place; ``None`` where there is none.

        A score depends on its own pair alone, up to the rounding of a network's batches; equal pairs are
        computed once. `sources` are for metrics that read what was asked. Raises `ValueError` where the
        sequences differ in length.
        """
        compute = self._open()
        pairs = _pairs(hypotheses, references, sources)
        scorable = list(dict.fromkeys(pair for pair in pairs if pair.reference.strip()))
        scores = compute(scorable) if scorable else ()
        known = dict(zip(scorable, scores, strict=True))
        return [_number(known.get(pair)) for pair in pairs]

    def close(self) -> None:
        """Let go of what was loaded."""
        self._compute = None

    def _open(self) -> Compute:
        if self._compute is None:
            raise RuntimeError(f"the metric {self.name!r} is closed: open another")
        return self._compute


@contextmanager
def opened(name: str, load: Callable[[], Compute]) -> Iterator[OpenMetric]:
    """What `load` loads as an open metric, closed with the block."""
    metric = OpenMetric(name, load())
    try:
        yield metric
    finally:
        metric.close()


def _pairs(hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str] | None) -> list[Pair]:
    columns = [hypotheses, references] if sources is None else [hypotheses, references, sources]
    if any(isinstance(column, str) for column in columns):
        raise TypeError("hypotheses, references and sources are sequences of texts, not one text")
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"hypotheses, references and sources differ in length: {lengths!r}")
    return [Pair(*map(_readable, texts)) for texts in zip(*columns, strict=True)]


def _readable(text: str) -> str:
    """`text` as valid Unicode: pairs of surrogates joined, half ones replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else float(score)
