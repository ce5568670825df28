"""What each pass over the data reads, and in which order: drawn anew for every epoch, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from coterie.training import length, sampling, updates
from coterie.training.preparing import REFERENCE, Prepared
from coterie.training.sampling import Places
from coterie.training.settings import ONLY_ORDER, AnyTraining
from coterie.training.updates import Cost


@dataclass(frozen=True)
class Unit:
    """Candidates of an example that are read together: a pair, or a list."""

    prepared: Prepared
    places: Places
    weight: float = 1.0
    """In its batch."""


class Passes:
    """The batches of all epochs, as a data loader takes them.

    An iteration goes over the epoch that was set last. Weights are such that the mean over an update's batches of
    their weighted sums is the mean over the update's units.
    """

    def __init__(self, prepared: Sequence[Prepared], cost: Callable[[Unit], Cost], settings: AnyTraining) -> None:
        self._prepared = prepared
        self._cost = cost
        self._settings = settings
        self._epoch = 0
        self.first = self._drawn(0)
        """What the first epoch reads; the others read as many units."""

    def __len__(self) -> int:
        """Batches in each epoch."""
        return updates.n_batches(len(self.first), self._settings.batch, self._settings.accumulate)

    @property
    def steps(self) -> int:
        """Updates in each epoch."""
        return -(-len(self.first) // (self._settings.batch * self._settings.accumulate))

    def length_slope(self) -> float:
        """Of a length-only predictor, fitted to the pairs of the first epoch."""
        return length.slope(length.leads((unit.prepared, unit.places) for unit in self.first))

    def set_epoch(self, epoch: int) -> None:
        """What is iterated over next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[Unit]]:
        units = self._epoch_units()
        costs = [self._cost(unit) for unit in units]
        order = Random(f"{self._settings.seed} order {self._epoch}")
        for update in updates.epoch(costs, self._settings.batch, self._settings.accumulate, order):
            share = len(update) / sum(map(len, update))
            for batch in update:
                yield [replace(units[n], weight=share) for n in batch]

    def _epoch_units(self) -> list[Unit]:
        """As many as in the first epoch, so that every epoch has as many updates."""
        if self._epoch == 0:
            return self.first
        units = self._drawn(self._epoch)
        missing = len(self.first) - len(units)
        return units[: len(self.first)] + units[: max(0, missing)]

    def _drawn(self, epoch: int) -> list[Unit]:
        rng = Random(f"{self._settings.seed} draws {epoch}")
        units = [Unit(prepared, places) for prepared in self._prepared for places in self._places(prepared, rng)]
        if not self._settings.balance:
            return units
        return [units[n] for n in updates.balanced([self._cell(unit) for unit in units], rng)]

    def _places(self, prepared: Prepared, rng: Random) -> list[Places]:
        draws = self._settings.draws
        match self._settings.kind:
            case "simcls":
                gold = (REFERENCE,) if prepared.tokens.reference is not None else ()
                return [(*places, *gold) for places in sampling.spread(prepared.qualities, draws)]
            case "summareranker":
                return sampling.extremes(prepared.qualities, draws)
            case _:
                ties = self._settings.loss not in ONLY_ORDER
                return sampling.pairs(prepared.qualities, draws, rng, ties=ties)

    def _cell(self, unit: Unit) -> tuple[object, ...]:
        """What the draws are balanced by."""
        example = unit.prepared.example
        known = {"origin": example.origin, "label": example.label, "length": unit.prepared.leaning(unit.places)}
        return tuple(known[name] for name in self._settings.balance)
