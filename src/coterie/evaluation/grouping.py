"""A table's examples by what their records say of them: where they come from, and who labelled them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from coterie.evaluation.columns import Column
from coterie.evaluation.measuring import Measured
from coterie.evaluation.table import LONGEST, Against, Group
from coterie.examples import Example
from coterie.examples.split import prompt_key

GROUPINGS = ("origin", "label")

LEAST_OF_A_GROUP = 30
"""Examples that make a group worth a line of its own."""

MOST_GROUPS = 40


def groups_of(measured: Measured, headlines: Sequence[Column]) -> Iterator[Group]:
    """The examples by origin and by label, where there are several of each, and not too many or too small."""
    import numpy as np

    shown = [row for row in measured.rows if row.kind in ("chance", "baseline", "judge")]
    for of in GROUPINGS:
        for name, members in _large(measured.examples, of):
            within = np.zeros(len(measured.examples))
            within[members] = 1.0
            prompts = {prompt_key(measured.examples[n]) for n in members}
            lines = tuple(measured.line(row, headlines, within) for row in shown)
            found = tuple(_over_longest(measured, headlines, within))
            yield Group(of, name, len(members), len(prompts), lines, found)


def _grouped(examples: Sequence[Example], of: str) -> dict[str, list[int]]:
    """The examples' numbers by what their records say, largest group first; those that say nothing left out."""
    found: dict[str, list[int]] = {}
    for n, example in enumerate(examples):
        found.setdefault(str(getattr(example, of)), []).append(n)
    return dict(sorted(((name, ns) for name, ns in found.items() if name), key=lambda pair: -len(pair[1])))


def _large(examples: Sequence[Example], of: str) -> list[tuple[str, list[int]]]:
    """The groups that get a line, unless there is only one of them, or too many."""
    large = [(name, ns) for name, ns in _grouped(examples, of).items() if len(ns) >= LEAST_OF_A_GROUP]
    return large if 1 < len(large) <= MOST_GROUPS else []


def too_small(examples: Sequence[Example]) -> Iterator[str]:
    """A note on the groups that got no line."""
    for of in GROUPINGS:
        small = [ns for ns in _grouped(examples, of).values() if len(ns) < LEAST_OF_A_GROUP]
        if small and _large(examples, of):
            yield (
                f"{len(small)} values of {of} with fewer than {LEAST_OF_A_GROUP} examples, {sum(map(len, small))} "
                "together, have no line of their own"
            )


def _over_longest(measured: Measured, headlines: Sequence[Column], within: Any) -> Iterator[Against]:
    [longest] = measured.of_kind("baseline")
    for row in measured.of_kind("judge"):
        for column in headlines:
            found = measured.against(row, longest, LONGEST, column, within)
            if found is not None:
                yield found
