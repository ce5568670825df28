"""The factors of RouteLLM's matrix factorisation while they are learned: their loss, its gradient, and the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coterie.routers.comparisons import Comparisons
from coterie.routers.mf import unit_rows
from coterie.training.routing.adam import Adam

if TYPE_CHECKING:
    from coterie.training.routing.mf import MFRecipe

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Factors:
    """What `MFRouter` is made of, as float32 arrays that training changes in place."""

    members: Array
    projection: Array
    classifier: Array
    bias: Array
    """Zeros, and stays so, where the recipe wants none."""
    learned: int
    """How many of the arrays are learned: the last one is the bias."""

    @classmethod
    def drawn(cls, n_members: int, n_dimensions: int, recipe: MFRecipe, rng: np.random.Generator) -> Factors:
        """As PyTorch begins: a normal distribution for the members, uniform ones for what is linear."""
        inner = recipe.dimensions
        members = rng.standard_normal((n_members, inner), dtype=np.float32)
        projection = _uniform((inner, n_dimensions), n_dimensions, rng)
        classifier = _uniform((inner,), inner, rng)
        if not recipe.bias:
            return cls(members, projection, classifier, np.zeros(inner, dtype=np.float32), 3)
        return cls(members, projection, classifier, _uniform((inner,), n_dimensions, rng), 4)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Those that are learned."""
        return (self.members, self.projection, self.classifier, self.bias)[: self.learned]

    def copy(self) -> Factors:
        """The same factors, which go on as they are."""
        return deepcopy(self)

    def logits(self, battles: Comparisons) -> Array:
        """(battles,), the log-odds that the first wins."""
        units = unit_rows(self.members)
        hidden = battles.vectors[battles.prompt] @ self.projection.T + self.bias
        logits: Array = ((units[battles.first] - units[battles.second]) * hidden) @ self.classifier
        return logits

    def gradients(self, battles: Comparisons, queries: Array) -> tuple[Array, ...]:
        """Of `loss`, in the order of `arrays`; `queries` is (battles, dimensions), what the battles' vectors became."""
        lengths = np.maximum(np.linalg.norm(self.members, axis=1, keepdims=True), np.float32(1e-12))
        units = self.members / lengths
        apart, hidden = units[battles.first] - units[battles.second], queries @ self.projection.T + self.bias
        both = apart * hidden
        missed = 1.0 / (1.0 + np.exp(-(both @ self.classifier))) - battles.result.astype(np.float32)
        sides = (missed / np.float32(len(battles)))[:, None] * self.classifier
        of_units = np.zeros_like(units)
        np.add.at(of_units, battles.first, sides * hidden)
        np.subtract.at(of_units, battles.second, sides * hidden)
        inward = (of_units * units).sum(axis=1, keepdims=True)
        of_hidden = sides * apart
        found = (
            (of_units - inward * units) / lengths,
            of_hidden.T @ queries,
            both.T @ (missed / np.float32(len(battles))),
            of_hidden.sum(axis=0),
        )
        return found[: self.learned]


def _uniform(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Array:
    bound = 1.0 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def loss(logits: Array, result: NDArray[np.float64]) -> float:
    """The mean cross-entropy, in nats: -log sigmoid(logit) where the first won, half of each for a tie."""
    return float((np.logaddexp(0.0, -logits) * result + np.logaddexp(0.0, logits) * (1.0 - result)).mean())


def accuracy(logits: Array, result: NDArray[np.float64]) -> float:
    """The share of decided battles whose winner has the higher score; NaN where all are ties."""
    decided = result != 0.5
    return float(((logits > 0) == (result > 0.5))[decided].mean()) if decided.any() else math.nan


def split(battles: Comparisons, share: float, rng: np.random.Generator) -> tuple[Comparisons, Comparisons]:
    """Those over most prompts and those over a `share` of them, one at least, where there are two and it is not 0."""
    n = len(battles.vectors)
    held = min(n - 1, max(1, round(share * n))) if share else 0
    away = np.isin(battles.prompt, rng.permutation(n)[:held])
    return battles.where(~away), battles.where(away)


def epochs(battles: Comparisons, recipe: MFRecipe, rng: np.random.Generator) -> Iterator[Factors]:
    """The factors after each epoch; the next one goes on to change them."""
    factors = Factors.drawn(len(battles.members), battles.vectors.shape[1], recipe, rng)
    adam = Adam(factors.arrays, recipe.learning_rate, recipe.weight_decay)
    for _ in range(recipe.epochs):
        order = rng.permutation(len(battles))
        for begin in range(0, len(order), recipe.batch):
            part = battles.at(order[begin : begin + recipe.batch])
            queries = part.vectors[part.prompt]
            queries += np.float32(recipe.noise) * rng.standard_normal(queries.shape, dtype=np.float32)
            adam.step(factors.gradients(part, queries))
        yield factors
