"""What a transformer learns to route from: rows of token ids with what is to be said of them, and who is held back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from coterie.errors import ConfigError
from coterie.routers.classifier import padded
from coterie.routers.reading import Ids
from coterie.training import updates
from coterie.training.updates import Cost

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class TextRow:
    """A query, and what is to be said of it."""

    ids: Ids
    target: tuple[float, ...]
    """One number for each of the network's outputs; NaN where nothing is known."""
    weight: float = 1.0
    """In its batch."""


def known(row: TextRow) -> bool:
    """True where there is something to learn from it."""
    return any(not math.isnan(value) for value in row.target)


def held_back(prompts: Sequence[str], share: float, seed: int) -> set[str]:
    """The prompts to be measured and not learned from: that share of the distinct ones, at least one, not all.

    Who it is depends on the texts and the seed alone. Raises `ConfigError` where there are not two distinct prompts.
    """
    distinct = sorted(set(prompts), key=lambda prompt: _mark(prompt, seed))
    if len(distinct) < 2:
        raise ConfigError(f"a router learns from two prompts at least, not {len(distinct)}")
    return set(distinct[: min(len(distinct) - 1, max(1, round(share * len(distinct))))])


def _mark(prompt: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{prompt}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Order:
    """The batches of every epoch, as a data loader takes them; the same for the same seed.

    Weights are such that the mean over an update's batches of their weighted sums is the mean over its rows.
    """

    def __init__(self, rows: Sequence[TextRow], batch: int, accumulate: int, seed: int) -> None:
        self._rows = rows
        self._batch = batch
        self._accumulate = accumulate
        self._seed = seed
        self._costs = [Cost(1, len(row.ids)) for row in rows]
        self._epoch = 0

    def __len__(self) -> int:
        """Batches in each epoch."""
        return updates.n_batches(len(self._rows), self._batch, self._accumulate)

    @property
    def updates(self) -> int:
        """In each epoch."""
        return -(-len(self._rows) // (self._batch * self._accumulate))

    def set_epoch(self, epoch: int) -> None:
        """What is iterated over next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[TextRow]]:
        rng = Random(f"{self._seed} order {self._epoch}")
        for update in updates.epoch(self._costs, self._batch, self._accumulate, rng):
            share = len(update) / sum(map(len, update))
            for batch in update:
                yield [TextRow(self._rows[n].ids, self._rows[n].target, share) for n in batch]


@dataclass(frozen=True)
class Collator:
    """Puts rows side by side."""

    pad: int
    left: bool = False
    """Pad before the texts, as for a model that goes on with them."""

    def __call__(self, rows: Sequence[TextRow]) -> Tensors:
        """input_ids, attention_mask [rows, longest]; target [rows, outputs]; weight [rows]."""
        target = torch.tensor([row.target for row in rows])
        weight = torch.tensor([row.weight for row in rows])
        return {**padded([row.ids for row in rows], self.pad, left=self.left), "target": target, "weight": weight}


Loss = Callable[[Tensor, Tensor], Tensor]
"""Of what a network said and what it should have said, each [rows, outputs]: [rows], 0 where nothing is known."""


def each_alone(said: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each output's sigmoid with a target in [0, 1], the mean over those that are known."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    there = ~torch.isnan(target)
    losses = binary_cross_entropy_with_logits(said.float(), target.nan_to_num(), reduction="none")
    return (losses * there).sum(1) / there.sum(1).clamp(min=1)


def among(n: int) -> Loss:
    """Cross-entropy of the softmax within each `n` outputs, the mean over the groups that are known."""

    def loss(said: Tensor, target: Tensor) -> Tensor:
        groups = target.reshape(len(target), -1, n)
        there = ~torch.isnan(groups).any(-1)
        logs = said.float().reshape(groups.shape).log_softmax(-1)
        return (-(groups.nan_to_num() * logs).sum(-1) * there).sum(1) / there.sum(1).clamp(min=1)

    return loss
