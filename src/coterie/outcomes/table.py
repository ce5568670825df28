"""Outcomes while they are read: a column a member, a number for each prompt; no answer's text is kept."""

from __future__ import annotations

from array import array
from sys import intern

from coterie.outcomes.outcome import Outcomes
from coterie.outcomes.rows import UNKNOWN, Answer, Row

SILENT = Answer()


class Table:
    """Rows that were read so far."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._prompts: list[str] = []
        self._groups: list[str] = []
        self._splits: list[str] = []
        self._places: list[str] = []

    def __len__(self) -> int:
        return len(self._prompts)

    def add(self, row: Row) -> None:
        """Afterwards the row is there. A member that it does not name is unknown in it, and a new one in all before."""
        for member in row.answers:
            if member not in self._columns:
                self._columns[member] = Column(len(self))
        for member, column in self._columns.items():
            column.add(len(self), row.answers.get(member, SILENT))
        self._prompts.append(row.prompt)
        self._groups.append(intern(row.group))
        self._splits.append(intern(row.split))
        self._places.append(row.place)

    def outcomes(self) -> Outcomes:
        """Everything that was read, members in the order in which they first appeared."""
        import numpy as np

        columns = tuple(self._columns.values())
        names = ("scores", "costs", "tokens")
        shape = (len(self), len(columns))
        scores, costs, tokens = (np.empty(shape) for _ in names)
        for place, column in enumerate(columns):
            for table, name in zip((scores, costs, tokens), names, strict=True):
                table[:, place] = getattr(column, name)
        return Outcomes(
            members=tuple(self._columns),
            prompts=tuple(self._prompts),
            scores=scores,
            costs_usd=costs,
            output_tokens=tokens,
            groups=_said(self._groups),
            places=tuple(self._places),
            samples=self._samples(),
            splits=_said(self._splits),
        )

    def _samples(self) -> tuple[tuple[tuple[float, ...], ...], ...]:
        columns = [column.samples for column in self._columns.values()]
        if not any(columns):
            return ()
        return tuple(tuple(samples.get(row, ()) for samples in columns) for row in range(len(self)))


class Column:
    """What one member achieved."""

    def __init__(self, before: int) -> None:
        """`before` rows did not name it."""
        self.scores, self.costs, self.tokens = (array("d", [UNKNOWN]) * before for _ in range(3))
        self.samples: dict[int, tuple[float, ...]] = {}

    def add(self, row: int, answer: Answer) -> None:
        self.scores.append(answer.score)
        self.costs.append(answer.cost_usd)
        self.tokens.append(answer.output_tokens)
        if answer.samples:
            self.samples[row] = answer.samples


def _said(words: list[str]) -> tuple[str, ...]:
    """The words; nothing at all where nobody said one."""
    return tuple(words) if any(words) else ()
