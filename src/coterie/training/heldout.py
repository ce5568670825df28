"""Measuring held-out prompts: with a network that is being trained, and with the judge that opens what was trained."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from coterie.judges.pair_ranker import PairRankerWeights
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pointwise.judge import Pointwise, RankerJudge, SimCLS, SummaReranker
from coterie.training import measures
from coterie.training.batches import ROWS, Collator
from coterie.training.kinds import RankerKind
from coterie.training.measures import Margins
from coterie.training.passes import Unit
from coterie.training.preparing import Prepared
from coterie.training.settings import Kind
from coterie.training.updates import Cost
from coterie.types import Json

TOKENS_AT_ONCE = {"cuda": 32_768}
"""By device, padding included; elsewhere 4096."""


@dataclass(frozen=True)
class HeldOut:
    """Prepared examples as a network in training is measured on them."""

    prepared: Sequence[Prepared]
    kind: RankerKind
    n_tasks: int = 1

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The measurements that are known, by name."""
        found = measures.measure((m, p.qualities) for m, p in zip(self.margins(network), self.prepared, strict=True))
        known = {name: getattr(found, name) for name in ("pairwise_accuracy", "best_of_n_accuracy", "chosen_quality")}
        return {name: value for name, value in known.items() if value is not None}

    def margins(self, network: nn.Module) -> list[Margins]:
        """Of each example, in order."""
        trials = [self.kind.trials(len(prepared.qualities)) for prepared in self.prepared]
        units = [Unit(p, places) for p, of in zip(self.prepared, trials, strict=True) for places in of]
        scores = iter(self._scores(network, units))
        return [self._margins(places, [next(scores) for _ in places]) for places in trials]

    @staticmethod
    def _margins(trials: Sequence[tuple[int, ...]], scores: Sequence[list[float]]) -> Margins:
        """One reading of everybody compares their scores; readings of two make the pair ranker's table."""
        if len(trials) == 1:
            return [[a - b for b in scores[0]] for a in scores[0]]
        logits = {(left, right): s[0] - s[1] for (left, right), s in zip(trials, scores, strict=True)}
        return measures.margins_of(logits, 1 + max(left for left, _ in logits))

    @torch.inference_mode()
    def _scores(self, network: nn.Module, units: Sequence[Unit]) -> list[list[float]]:
        """Of each unit's candidates, the mean over the tasks."""
        device = next(network.parameters()).device
        collator = Collator(self.kind, self.n_tasks)
        costs = [collator.cost(unit) for unit in units]
        found: list[list[float]] = [[]] * len(units)
        for batch in _batches(costs, TOKENS_AT_ONCE.get(device.type, 4096)):
            tensors = collator([units[n] for n in batch])
            there = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
            said: Tensor = network(*(there[name] for name in ROWS))
            scores = self.kind.scores(said, there["layout"]).double().mean(-1)
            for n, of in zip(batch, scores.tolist(), strict=True):
                found[n] = of[: len(units[n].places)]
        return found


def _batches(costs: Sequence[Cost], budget: int) -> Iterator[list[int]]:
    """Places in `costs`, the longest first, as many at once as the budget of tokens holds; one at least."""
    batch: list[int] = []
    rows = 0
    for n in sorted(range(len(costs)), key=lambda n: -costs[n].length):
        if batch and costs[batch[0]].length * (rows + costs[n].rows) > budget:
            yield batch
            batch, rows = [], 0
        batch.append(n)
        rows += costs[n].rows
    if batch:
        yield batch


# ---- the judge that opens it ---------------------------------------------------------------------


def judged(kind: Kind, folder: Path, prepared: Sequence[Prepared], device: str = "auto") -> list[Margins]:
    """The margins that the trained judge gives each example's candidates, read from their texts as any user's."""
    if kind == "pairranker":
        return _by_pairs(PairRankerWeights(str(folder), device=device), prepared)
    judges = {"pointwise": Pointwise, "simcls": SimCLS, "summareranker": SummaReranker}
    return asyncio.run(_by_scores(judges[kind](str(folder), device=device), prepared))


def _by_pairs(weights: PairRankerWeights, prepared: Sequence[Prepared]) -> list[Margins]:
    engine = weights.load()
    try:
        asked = [
            Pair(p.example.source, p.texts[i], p.texts[j])
            for p in prepared
            for i, j in permutations(range(len(p.texts)), 2)
        ]
        said = iter(engine.score(asked))
    finally:
        engine.close()
    found = []
    for p in prepared:
        table = {pair: next(said) for pair in permutations(range(len(p.texts)), 2)}
        found.append(measures.margins_of({pair: left - right for pair, (left, right) in table.items()}, len(p.texts)))
    return found


async def _by_scores(judge: RankerJudge, prepared: Sequence[Prepared]) -> list[Margins]:  # type: ignore[type-arg]
    async with judge.open() as engine:
        scores = await asyncio.gather(*(judge.scores(engine, p.example.source, p.texts) for p in prepared))
    return [[[a - b for b in of] for a in of] for of in scores]


# ---- beside what it has to beat ------------------------------------------------------------------


def report(prepared: Sequence[Prepared], margins: Sequence[Margins], seed: int) -> dict[str, Json]:
    """The ranker's measurements beside the baselines': over everything, by origin and by label type."""
    rivals = {"ranker": margins, **_baselines(prepared, seed)}
    whole = range(len(prepared))
    by_origin = _grouped([p.example.origin or "unknown" for p in prepared])
    by_label = _grouped([p.example.label or "unknown" for p in prepared])

    def beside(numbers: Iterable[int]) -> dict[str, Json]:
        chosen = list(numbers)
        return {
            name: measures.measure((of[n], prepared[n].qualities) for n in chosen).to_json()
            for name, of in rivals.items()
        }

    return {
        "all": beside(whole),
        "by_origin": {name: beside(own) for name, own in by_origin.items()},
        "by_label": {name: beside(own) for name, own in by_label.items()},
    }


def _baselines(prepared: Sequence[Prepared], seed: int) -> Mapping[str, list[Margins]]:
    rng = Random(seed)
    return {
        "longer": [measures.by_length(p.lengths) for p in prepared],
        "constant": [measures.constant(len(p.texts), rng) for p in prepared],
        "chance": [measures.silent(len(p.texts)) for p in prepared],
    }


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for n, name in enumerate(names):
        groups.setdefault(name, []).append(n)
    return dict(sorted(groups.items()))
