"""The table of rankers: every row in every column, with intervals, and what each judge has over its rivals.

After table 2 and 3 of LLM-Blender (2306.02561), and what they leave out: intervals, the longest answer as a
rival, the best single model picked on the same prompts (which favours it), and the data's groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coterie.evaluation.columns import (
    Head,
)
from coterie.evaluation.rows import Kind
from coterie.evaluation.significance import Estimate

CHANCE = "chance"
LONGEST = "the longest"
SINGLE = "the best single model"
ORDER = "the fixed order of models"
"""Where no model answers everything, or whole orders are measured: what knowing the models alone is worth."""


@dataclass(frozen=True)
class Line:
    """A row with its numbers, by column."""

    name: str
    kind: Kind
    cells: Mapping[str, Estimate]
    """What the row cannot fill is not there."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Against:
    """What one row has over a rival in a column, on the examples where both have a number."""

    row: str
    rival: str
    role: str
    """What the rival stands for: `CHANCE`, `LONGEST`, `SINGLE` or `ORDER`."""
    column: str
    difference: Estimate
    """The row's number less the rival's; in a column where less is better, negative is good."""
    verdict: str
    """`better`, `worse`, or `level` where the interval holds 0; empty where there is none."""


@dataclass(frozen=True)
class Group:
    """A part of the examples, by what their records say of them."""

    of: str
    """``origin`` or ``label``."""
    name: str
    examples: int
    prompts: int
    lines: tuple[Line, ...]
    """Chance, the baselines and the judges, in the headline columns."""
    against: tuple[Against, ...]


@dataclass(frozen=True)
class Table:
    """Everything there is to tell of rankers on some examples."""

    heads: tuple[Head, ...]
    covered: Mapping[str, int]
    """For each column the examples that have what it needs."""
    lines: tuple[Line, ...]
    against: tuple[Against, ...]
    groups: tuple[Group, ...]
    examples: int
    prompts: int
    notes: tuple[str, ...] = ()

    @property
    def headlines(self) -> tuple[Head, ...]:
        """The columns by which judges are compared."""
        return tuple(head for head in self.heads if head.headline)
