"""From units to the tensors of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from coterie.training.kinds import RankerKind
from coterie.training.length import log_ratio
from coterie.training.passes import Unit
from coterie.training.preparing import REFERENCE, Ids
from coterie.training.updates import Cost

Tensors = dict[str, Tensor]

ROWS = ("ids", "attended", "marks")
"""Of a batch's tensors those that the network reads."""


@dataclass
class Collator:
    """Puts the rows of units side by side, padded behind to the longest of them."""

    kind: RankerKind
    n_tasks: int = 1
    length_logit: float = 0.0
    """By which a pair's offset grows with the logarithm of its lengths' ratio."""
    tokens: int = field(default=0, init=False)
    """Read so far, without padding."""
    padded: int = field(default=0, init=False)
    """Read so far, padding included."""

    def cost(self, unit: Unit) -> Cost:
        """Of reading it."""
        rows = self.kind.rows(unit.prepared.tokens, unit.places)
        return Cost(len(rows), max(len(row.ids) for row in rows))

    def __call__(self, units: Sequence[Unit]) -> Tensors:
        """ids, attended [rows, length]; marks [rows, marks]; layout [units, rows]; quality [units, n, tasks];
        present [units, n]; weight and offset [units].
        """
        read = [self.kind.rows(unit.prepared.tokens, unit.places) for unit in units]
        return {**self._rows([row for rows in read for row in rows]), "layout": _layout(read), **self._known(units)}

    def _rows(self, rows: Sequence[Ids]) -> Tensors:
        lengths = np.array([len(row.ids) for row in rows])
        ids = np.zeros((len(rows), int(lengths.max())), dtype=np.int64)
        for n, row in enumerate(rows):
            ids[n, : lengths[n]] = row.ids
        self.tokens += int(lengths.sum())
        self.padded += ids.size
        attended = np.arange(ids.shape[1]) < lengths[:, None]
        made = {"ids": ids, "attended": attended.astype(np.int64), "marks": np.array([row.marks for row in rows])}
        return {name: torch.from_numpy(array) for name, array in made.items()}

    def _known(self, units: Sequence[Unit]) -> Tensors:
        most = max(len(unit.places) for unit in units)
        quality = torch.zeros(len(units), most, self.n_tasks)
        present = torch.zeros(len(units), most, dtype=torch.bool)
        for n, unit in enumerate(units):
            known = [_quality(unit, place, self.n_tasks) for place in unit.places]
            quality[n, : len(known)] = torch.tensor(known)
            present[n, : len(known)] = True
        weight = torch.tensor([unit.weight for unit in units])
        return {"quality": quality, "present": present, "weight": weight, "offset": self._offsets(units)}

    def _offsets(self, units: Sequence[Unit]) -> Tensor:
        if not self.length_logit:
            return torch.zeros(len(units))
        lengths = [(unit.prepared.lengths, unit.places) for unit in units]
        return torch.tensor([self.length_logit * log_ratio(of[left], of[right]) for of, (left, right) in lengths])


def _quality(unit: Unit, place: int, n_tasks: int) -> tuple[float, ...]:
    return (float("inf"),) * n_tasks if place == REFERENCE else unit.prepared.qualities[place]


def _layout(read: Sequence[Sequence[Ids]]) -> Tensor:
    """Which rows are whose; a unit with fewer rows than another is filled up with row 0."""
    layout = torch.zeros(len(read), max(map(len, read)), dtype=torch.long)
    first = 0
    for n, rows in enumerate(read):
        layout[n, : len(rows)] = torch.arange(first, first + len(rows))
        first += len(rows)
    return layout
