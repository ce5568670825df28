"""RouteLLM's matrix factorisation: members and queries in one space, and a score that is linear there (2406.18665)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coterie.encoders.tensors import Tensors
from coterie.errors import ConfigError, RouterError
from coterie.prospects import Scale
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.routellm_members import MEMBERS
from coterie.types import Json

PUBLISHED = ("P.weight", "text_proj.0.weight", "classifier.0.weight")
"""What RouteLLM's checkpoint calls the embeddings, the projection and the classifier."""


@dataclass(frozen=True, eq=False)
class MFRouter:
    """score(member, query) = w2 . (P_member / |P_member| * W1 query): the difference of two is the log-odds of a win.

    A decision is one product of a (members, dimensions) matrix with the query's vector.
    """

    kind: ClassVar[str] = "mf"
    scale: ClassVar[Scale] = Scale.LOGIT
    reads: ClassVar[Reads] = "vectors"

    members: tuple[str, ...]
    embeddings: NDArray[np.float32]
    """P, (members, dimensions of the common space); a row of NaN for a member that was never compared."""
    projection: NDArray[np.float32]
    """W1, (dimensions of the common space, dimensions of a query)."""
    classifier: NDArray[np.float32]
    """w2, (dimensions of the common space,)."""
    bias: NDArray[np.float32] | None = None
    """(dimensions of the common space,), added to W1 query as the paper has it; the code has none."""

    def __post_init__(self) -> None:
        inner = self.classifier.shape
        if self.bias is not None and self.bias.shape != inner:
            raise ConfigError(f"a bias has the shape {inner!r}, not {self.bias.shape!r}")
        if self.embeddings.shape != (len(self.members), *inner) or self.projection.shape[:-1] != inner:
            shapes = [array.shape for array in (self.embeddings, self.projection, self.classifier)]
            raise ConfigError(f"no factors of {len(self.members)} members have the shapes {shapes!r}")

    @property
    def parameters(self) -> int:
        """How many numbers are learned: 204,928 for 64 members, 128 dimensions and OpenAI's 1,536."""
        return sum(array.size for array in self.arrays().values())

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for vectors of another encoder."""
        found = None if queries.vectors is None else queries.vectors.shape
        if queries.vectors is None or found != (len(queries), self.projection.shape[1]):
            wanted = f"{len(queries)} vectors of {self.projection.shape[1]} dimensions"
            raise RouterError(f"the router 'mf' reads {wanted}, and was given {found!r}: is it another encoder?")
        # No product of matrices: that one rounds a query otherwise when others stand beside it.
        products = np.einsum("qd,md->qm", queries.vectors, self._rows)
        return Forecast(products.astype(np.float64) + self._constants)

    def settings(self) -> Mapping[str, Json]:
        return {}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        bare = {"embeddings": self.embeddings, "projection": self.projection, "classifier": self.classifier}
        return bare if self.bias is None else {**bare, "bias": self.bias}

    @classmethod
    def load(cls, kept: Kept) -> MFRouter:
        """The router that was saved. Raises `ConfigError`."""
        held = {name: array.astype(np.float32) for name, array in kept.arrays.items()}
        try:
            return cls(kept.members, held["embeddings"], held["projection"], held["classifier"], held.get("bias"))
        except KeyError as error:
            raise ConfigError(f"the factors in {str(kept.folder)!r} lack {error}") from error

    @classmethod
    def published(cls, file: Path, members: Sequence[str] = MEMBERS) -> MFRouter:
        """RouteLLM's checkpoint, a file of tensors (safetensors) as in ``routellm/mf_gpt4_augmented``.

        `members` names its rows. Queries need the encoder that it was trained with, OpenAI's
        ``text-embedding-3-small``. Raises `ConfigError` for a file of another layout.
        """
        held = Tensors(file)
        embeddings, projection, classifier = (np.array(held[name]) for name in PUBLISHED)
        return cls(tuple(members), embeddings, projection, classifier.ravel())

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        """(members, dimensions of a query): everything but the query, which enters linearly, multiplied out."""
        rows: NDArray[np.float32] = self._weights @ self.projection
        return rows

    @cached_property
    def _constants(self) -> NDArray[np.float32]:
        """(members,), what the bias gives each."""
        bias = np.zeros_like(self.classifier) if self.bias is None else self.bias
        constants: NDArray[np.float32] = self._weights @ bias
        return constants

    @property
    def _weights(self) -> NDArray[np.float32]:
        return unit_rows(self.embeddings) * self.classifier


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1, one of zeros as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return units
