"""A BERT in numpy alone: for where nothing else is installed. A text is computed by itself, so nothing is padded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coterie.encoders.bert import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    States = NDArray[np.float32]
    """[tokens, width]"""

ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
ERF_P = 0.3275911
"""Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: erf to 1.5e-7."""


class NumpyForward:
    """A `Forward` on the CPU, with as many threads as numpy's own products take.

    Raises `ConfigError` for weights that do not fit.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._layout = checkpoint.layout
        self._tensors = checkpoint.tensors
        self._weights: dict[str, NDArray[np.float32]] = {}
        kinds = self._of("embeddings.token_type_embeddings.weight")
        self._beside: States = self._of("embeddings.position_embeddings.weight") + kinds[0]
        for n in range(self._layout.layers):
            self._join(f"encoder.layer.{n}.attention.self")
        self._mean(np.zeros(1, dtype=np.int64))  # which loads the others

    def __call__(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        return np.stack([self._mean(row) for row in rows])

    def _mean(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        states = self._of("embeddings.word_embeddings.weight")[ids] + self._beside[: len(ids)]
        states = self._normed("embeddings.LayerNorm", states)
        for n in range(self._layout.layers):
            name = f"encoder.layer.{n}"
            mixed = self._linear(f"{name}.attention.output.dense", self._context(f"{name}.attention.self", states))
            states = self._normed(f"{name}.attention.output.LayerNorm", mixed + states)
            wide = gelu(self._linear(f"{name}.intermediate.dense", states))
            states = self._normed(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", wide) + states)
        mean: NDArray[np.float32] = states.mean(axis=0)
        return mean

    def _context(self, name: str, states: States) -> States:
        """What each token takes from all of them, by attention."""
        layout = self._layout
        joined = self._linear(f"{name}.joined", states)
        query, key, value = joined.reshape(len(states), 3, layout.heads, -1).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: States = np.asarray(scores @ value, dtype=np.float32)
        return mixed.transpose(1, 0, 2).reshape(len(states), layout.width)

    def _join(self, name: str) -> None:
        """Queries, keys and values in one product; queries carry the scale of all scores."""
        scale = np.float32(1 / math.sqrt(self._layout.width // self._layout.heads))
        for kind in ("weight", "bias"):
            query, key, value = (self._tensors[f"{name}.{part}.{kind}"] for part in ("query", "key", "value"))
            self._weights[f"{name}.joined.{kind}"] = np.concatenate([query * scale, key, value])

    def _linear(self, name: str, states: States) -> States:
        made: States = states @ self._of(f"{name}.weight").T
        made += self._of(f"{name}.bias")
        return made

    def _normed(self, name: str, states: States) -> States:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        centred /= np.sqrt(variance + np.float32(self._layout.epsilon))
        made: States = centred * self._of(f"{name}.weight") + self._of(f"{name}.bias")
        return made

    def _of(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            self._weights[name] = np.array(self._tensors[name])
        return self._weights[name]


def gelu(x: States) -> States:
    """x times the normal distribution's function at x, within 2e-7 of it."""
    half = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(ERF_P) * half)
    tail = np.full_like(t, ERF[-1])
    for factor in reversed(ERF[:-1]):
        tail *= t
        tail += np.float32(factor)
    tail *= t * np.exp(-half * half)  # 1 - erf(half)
    made: States = x * np.where(x >= 0, 1 - tail / 2, tail / 2)
    return made
