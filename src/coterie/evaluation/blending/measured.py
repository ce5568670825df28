"""Rows measured: means with intervals, and differences of two variants on the questions that both answered.

Every interval is a percentile bootstrap in which a conversation is drawn whole, since its turns are not independent,
and all numbers of a data set are computed on the same samples, so that what is compared is paired.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.rows import Place, Row, Variant
from coterie.evaluation.blending.variants import in_order, is_whole, matching, names_of
from coterie.evaluation.conversations import Scores
from coterie.evaluation.resampling import FOR_TABLES, Draws
from coterie.evaluation.significance import Bootstrap, Difference, Estimate

Column = tuple[float | None, ...]
"""A number for each place, in the order of `Measured.places`; ``None`` where there is none."""

Reading = Callable[[Row], float | None]
"""What is read off a row."""


@dataclass(frozen=True)
class Coverage:
    """How many of a part's questions a variant answered."""

    answered: int
    failed: int
    questions: int

    @property
    def missing(self) -> int:
        """Questions that it was never given."""
        return self.questions - self.answered - self.failed

    @property
    def whole(self) -> bool:
        return self.answered == self.questions


class Measured:
    """Everything that tables and figures ask of recorded rows. A part is a data set, or ``None`` for all of them."""

    def __init__(self, recorded: Recorded, bootstrap: Bootstrap = FOR_TABLES) -> None:
        self.recorded = recorded
        self.header = recorded.header
        self.bootstrap = bootstrap
        self.places: tuple[Place, ...] = tuple(dict.fromkeys(row.place for row in recorded.rows))
        self.variants = in_order(row.variant for row in recorded.rows)
        self.names = names_of(self.variants)
        self._rows: dict[Variant, dict[Place, list[Row]]] = {variant: {} for variant in self.variants}
        for row in recorded.rows:
            self._rows[row.variant].setdefault(row.place, []).append(row)
        self._columns: dict[tuple[Variant, str], Column] = {}
        self._draws: dict[str | None, Draws] = {}
        self._within: dict[str | None, list[int]] = {}

    # ---- what there is ------------------------------------------------------------------------

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Those of the header in its order, then any others, as far as rows speak of them."""
        there = dict.fromkeys(place[0] for place in self.places)
        named = [data.name for data in self.header.data if data.name in there]
        return tuple(dict.fromkeys([*named, *there]))

    @cached_property
    def parts(self) -> tuple[str | None, ...]:
        """Every data set, and all together where there are several."""
        return (*self.datasets, None) if len(self.datasets) > 1 else self.datasets

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The header's, then those that rows alone speak of."""
        named = {measure.name: measure for measure in self.header.metrics}
        for row in self.recorded.rows:
            for name in row.quality:
                named.setdefault(name, Measure(name))
        return tuple(named.values())

    @property
    def measure(self) -> Measure | None:
        """The one that verdicts are about."""
        return self.measures[0] if self.measures else None

    @cached_property
    def main(self) -> tuple[Variant, ...]:
        """The variants of the main tables: with the largest pool that each was tried with."""
        return tuple(variant for variant in self.variants if is_whole(variant, self.variants))

    @cached_property
    def reference(self) -> Variant | None:
        """The variant from which speed-ups are counted."""
        return matching(self.header.reference, self.main) or matching(self.header.reference, self.variants)

    @property
    def level(self) -> str:
        """How sure intervals are, as it is printed."""
        return f"{100 * self.bootstrap.level:g}\N{NO-BREAK SPACE}%"

    def of_kind(self, *kinds: str) -> list[Variant]:
        return [variant for variant in self.main if variant.kind in kinds]

    def rows(self, variant: Variant, part: str | None = None) -> list[Row]:
        return [row for place, rows in self._rows[variant].items() if part in (None, place[0]) for row in rows]

    def at(self, variant: Variant, place: Place) -> Row | None:
        """The row of a question; of several seeds the first that answered."""
        rows = self._rows[variant].get(place, [])
        return next((row for row in rows if not row.failed), rows[0] if rows else None)

    def places_of(self, part: str | None) -> list[Place]:
        return [self.places[n] for n in self._numbers(part)]

    def conversations(self, part: str | None) -> int:
        return len({place[:2] for place in self.places_of(part)})

    def coverage(self, variant: Variant, part: str | None = None) -> Coverage:
        of = self._rows[variant]
        given = [rows for place in self.places_of(part) if (rows := of.get(place))]
        answered = sum(any(not row.failed for row in rows) for rows in given)
        return Coverage(answered, len(given) - answered, len(self._numbers(part)))

    # ---- columns ------------------------------------------------------------------------------

    def quality(self, variant: Variant, measure: Measure) -> Column:
        """The variant's scores, failures aside; at each place the mean over seeds."""
        return self._kept(variant, f"quality {measure.name}", lambda row: row.quality.get(measure.name))

    def times(self, variant: Variant) -> Column:
        """Seconds of what was answered."""
        return self.field(variant, "time_s")

    def field(self, variant: Variant, name: str) -> Column:
        """A number of the rows that answered."""
        return self._kept(variant, name, attrgetter(name))

    def _kept(self, variant: Variant, name: str, reading: Reading) -> Column:
        if (variant, name) not in self._columns:
            self._columns[variant, name] = self._column(self._rows[variant], reading)
        return self._columns[variant, name]

    def _column(self, rows: Mapping[Place, Sequence[Row]], reading: Reading) -> Column:
        return tuple(
            _mean([value for row in rows.get(place, ()) if not row.failed and (value := reading(row)) is not None])
            for place in self.places
        )

    def within(self, column: Scores, part: str | None) -> list[float | None]:
        """The part's numbers alone."""
        return [column[n] for n in self._numbers(part)]

    # ---- figures with intervals -----------------------------------------------------------------

    def by_conversation(self, column: Scores, part: str | None) -> Estimate | None:
        """The mean over conversations of the mean over each one's questions (chapter 5)."""
        values = self.within(column, part)
        return self._ratio(values, self._shares(values, part), part)

    def by_question(self, column: Scores, part: str | None) -> Estimate | None:
        """The mean over questions (3.1.4)."""
        return self._ratio(self.within(column, part), None, part)

    def gain(self, ours: Scores, theirs: Scores, part: str | None, *, by_question: bool = False) -> Difference | None:
        """The mean of ours less that of theirs, both on the questions where both are known; ``None`` for none."""
        pairs = zip(self.within(ours, part), self.within(theirs, part), strict=True)
        gains = [None if a is None or b is None else a - b for a, b in pairs]
        found = self._ratio(gains, None if by_question else self._shares(gains, part), part)
        if found is None:
            return None
        known = [gain for gain in gains if gain is not None]
        wins, losses = sum(gain > 0 for gain in known), sum(gain < 0 for gain in known)
        return Difference(found, wins, len(known) - wins - losses, losses)

    def quotient(self, above: Scores, below: Scores, part: str | None) -> Estimate | None:
        """The one mean over the other, both on the questions where both are known; ``None`` where that is nothing."""
        import numpy as np

        pairs = list(zip(self.within(above, part), self.within(below, part), strict=True))
        known = [None not in pair for pair in pairs]
        over, under = (
            np.array([pair[n] if there else 0.0 for pair, there in zip(pairs, known, strict=True)], dtype=np.float64)
            for n in (0, 1)
        )
        return self._draws_of(part).ratio((over, under)) if (under > 0).any() else None

    def _ratio(
        self, values: Sequence[float | None], weights: Sequence[float] | None, part: str | None
    ) -> Estimate | None:
        """The weighted mean of those known."""
        import numpy as np

        known = np.array([value is not None for value in values], dtype=np.float64)
        weight = known if weights is None else known * np.array(weights, dtype=np.float64)
        return self._draws_of(part).ratio((np.array([value or 0.0 for value in values]) * weight, weight))

    def _shares(self, values: Sequence[float | None], part: str | None) -> list[float]:
        """Of each question one over the number of its conversation's questions that are known."""
        conversations = [self.places[n][:2] for n in self._numbers(part)]
        known: dict[Any, int] = defaultdict(int)
        for conversation, value in zip(conversations, values, strict=True):
            known[conversation] += value is not None
        return [1 / max(1, known[conversation]) for conversation in conversations]

    def _numbers(self, part: str | None) -> list[int]:
        if part not in self._within:
            self._within[part] = [n for n, place in enumerate(self.places) if part in (None, place[0])]
        return self._within[part]

    def _draws_of(self, part: str | None) -> Draws:
        if part not in self._draws:
            self._draws[part] = Draws([self.places[n][:2] for n in self._numbers(part)], self.bootstrap)
        return self._draws[part]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
