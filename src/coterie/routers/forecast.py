"""What routers say of many queries at once, and what a fitted router is, whoever trains, measures or serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from coterie.outcomes.outcome import Lessons
from coterie.prospects import Scale
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Reads = Literal["vectors", "texts", "both", "nothing"]
"""What a fitted router looks at: the query's vector, its words, both of them, or only who is there."""

LearnsFrom = frozenset[Literal["outcomes", "battles"]]
"""What a recipe can use. Of outcomes, battles can be made; of battles no outcomes."""


@dataclass(frozen=True, eq=False)
class Queries:
    """Texts to be routed, with their vectors where the router reads vectors."""

    texts: tuple[str, ...]
    vectors: NDArray[np.float32] | None = None
    """(texts, dimensions), each of length 1."""

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a router expects of its members on queries. NaN is unknown."""

    quality: NDArray[np.float64]
    """(queries, members), on the router's scale."""
    uncertainty: NDArray[np.float64] | None = None
    """(queries, members), in the unit of quality; ``None`` for a router that cannot tell."""
    basis: tuple[str, ...] = ()
    """For each query what its row rests on, for readers of a trace; empty where there is nothing to say."""


class Fitted(Protocol):
    """A router that has learned: plain arrays or loaded weights. Equal queries give equal forecasts."""

    @property
    def kind(self) -> str:
        """Its name in `routers.kinds`."""
        ...

    @property
    def members(self) -> tuple[str, ...]: ...

    @property
    def scale(self) -> Scale: ...

    @property
    def reads(self) -> Reads: ...

    def forecast(self, queries: Queries) -> Forecast:
        """What to expect, columns in the order of `members`. Whoever serves calls it in a thread where it is slow."""
        ...

    def settings(self) -> Mapping[str, Json]:
        """What is no array: plain data, kept in the artifact's ``router.json``."""
        ...

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """What is kept in the artifact's ``arrays.npz``."""
        ...


@dataclass(frozen=True, eq=False)
class Kept:
    """What an artifact holds of a fitted router."""

    members: tuple[str, ...]
    settings: Mapping[str, Json]
    """As `Fitted.settings` gave them, after JSON."""
    arrays: Mapping[str, NDArray[np.generic]]
    folder: Path
    """The artifact's, for weights that are files of their own."""


class Loads(Protocol):
    """How a fitted router comes back: the class method ``load`` of each fitted class."""

    def __call__(self, kept: Kept) -> Fitted:
        """The router that gives the same forecasts. Raises `ConfigError` for what it did not save itself."""
        ...


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of the prompts of `Lessons`, in their order; ``None`` where there are none or nobody reads them."""

    outcomes: NDArray[np.float32] | None = None
    battles: NDArray[np.float32] | None = None


Watch = Callable[[str, int, int], None]
"""Told how far a fit has come: of what, how many are done, and how many there are."""


class Recipe(Protocol):
    """How one kind of router is fitted: a frozen dataclass whose fields are the paper's hyper-parameters."""

    @property
    def kind(self) -> str: ...

    @property
    def reads(self) -> Reads: ...

    @property
    def learns_from(self) -> LearnsFrom: ...

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> Fitted:
        """A router for all members of `lessons`. The same lessons and settings give the same router.

        Raises `ConfigError` for lessons it cannot learn from (one member only, nobody ever better).
        """
        ...
