"""The kinds of columns in a table of rankers: what each makes of a row. A cell that a row cannot fill stays empty."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coterie.evaluation import correlation
from coterie.evaluation.labels import (
    Ranks,
)
from coterie.evaluation.rows import Row, picks

Measured = tuple[float, float]
"""What an example adds to a column's sum, and to the number it is divided by."""


@dataclass(frozen=True)
class Head:
    """What a column is."""

    key: str
    heading: str
    tells: str
    """What the number is, in a sentence."""
    lower_is_better: bool = False
    percent: bool = True
    """True when it is a share, shown times 100."""
    digits: int = 1
    """Decimals that are shown."""
    headline: bool = False
    """True when judges are compared by it, in words."""
    of_orders: bool = False
    """True when it measures the whole order, and not the pick."""
    says_nothing_of: str = ""
    """The model of which it is true by definition."""

    of_scores: bool = False
    """True when it is a mean of scores in the data, and not of what labels say."""

    def better(self, difference: float) -> float:
        """`difference`, positive when it is for the better."""
        return -difference if self.lower_is_better else difference

    def scaled(self, value: float) -> float:
        """A value as it is shown."""
        return 100 * value if self.percent else value

    def text(self, value: float, sign: str = "") -> str:
        """A value as it is printed, with its sign always where that is ``+``, and none for nothing."""
        return f"{self.scaled(value):{sign}z.{self.digits}f}"


class Column(Protocol):
    """One number a row: the mean over the examples of what each adds."""

    @property
    def head(self) -> Head: ...

    def measured(self, n: int, row: Row) -> Measured | None:
        """What example number n adds for a row; ``None`` where it says nothing of it."""
        ...

    def covers(self, n: int) -> bool:
        """True when example number n has what the column needs."""
        ...


@dataclass(frozen=True)
class PickColumn:
    """The mean worth of the picks; of tied picks the mean, which is what drawing among them would give."""

    head: Head
    worth: Sequence[Sequence[float | None] | None] = field(repr=False)
    """Of each example's candidates; ``None`` for one that may not be picked here, or where the example says nothing."""

    def measured(self, n: int, row: Row) -> Measured | None:
        worth, places = self.worth[n], row.places[n]
        if worth is None or places is None:
            return None
        known = {place: value for place, value in enumerate(worth) if value is not None}
        picked = picks(places, list(known))
        return (math.fsum(known[p] for p in picked) / len(picked), 1.0) if picked else None

    def covers(self, n: int) -> bool:
        return self.worth[n] is not None


@dataclass(frozen=True)
class OrderColumn:
    """The mean of what a whole order is worth against the labels' ranks, of examples that have them."""

    head: Head
    truth: Sequence[Ranks | None] = field(repr=False)
    of: Callable[[Sequence[int], Sequence[int]], float]
    expected: Callable[[Sequence[int]], float]
    """For an order drawn at random."""

    def measured(self, n: int, row: Row) -> Measured | None:
        truth, places = self.truth[n], row.places[n]
        if truth is None or places is None or not row.orders:
            return None
        if row.kind == "chance":
            return self.expected(truth), 1.0
        known = [place for place in places if place is not None]
        return (self.of(known, truth), 1.0) if len(known) == len(truth) else None

    def covers(self, n: int) -> bool:
        return self.truth[n] is not None


@dataclass(frozen=True)
class AgreementColumn:
    """The share of labelled pairs that an order puts as the label does; a pair it ties counts a half."""

    head: Head
    pairs: Sequence[Sequence[tuple[int, int]]] = field(repr=False)
    """(better, worse) for each example."""

    def measured(self, n: int, row: Row) -> Measured | None:
        places = row.places[n]
        if not self.pairs[n] or places is None or not row.orders:
            return None
        met = [(b, w) for better, worse in self.pairs[n] if (b := places[better]) and (w := places[worse])]
        return (math.fsum(0.5 * ((b < w) + (b <= w)) for b, w in met), float(len(met))) if met else None

    def covers(self, n: int) -> bool:
        return bool(self.pairs[n])


@dataclass(frozen=True)
class CorrelationColumn:
    """Not a mean over examples: a correlation for each model over the examples, averaged over the models."""

    head: Head
    truth: Sequence[Ranks | None] = field(repr=False)
    models: Sequence[Mapping[str, int]] = field(repr=False)
    """Of each example: where each model's answer stands."""
    of_ranks: bool
    """Spearman's, and not Pearson's."""

    def value(self, row: Row) -> float | None:
        """The figure; 0 for an order drawn at random, which is what it is on average."""
        if row.kind == "chance":
            return 0.0
        pairs = self.pairs(row)
        columns = {model: [(x, y) for _, x, y in triples] for model, triples in pairs.items()}
        return correlation.by_model(columns, correlation.spearman if self.of_ranks else correlation.pearson)

    def pairs(self, row: Row) -> dict[str, list[tuple[int, int, int]]]:
        """For each model (example, rank in the row's order, rank by the labels)."""
        columns: dict[str, list[tuple[int, int, int]]] = {}
        for n, (truth, places) in enumerate(zip(self.truth, row.places, strict=True)):
            if truth is None or places is None or not row.orders:
                continue
            for model, place in self.models[n].items():
                if (rank := places[place]) is not None:
                    columns.setdefault(model, []).append((n, rank, truth[place]))
        return columns

    def covers(self, n: int) -> bool:
        return self.truth[n] is not None
