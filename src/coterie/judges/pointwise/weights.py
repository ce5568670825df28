"""A ranker that reads one candidate at a time, as a specification: which checkpoint, and how it is run."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from coterie.errors import ConfigError
from coterie.judges.keeping import Keep
from coterie.judges.pair_ranker.weights import Precision
from coterie.judges.placement import Placement, placed

if TYPE_CHECKING:
    from torch import nn

    from coterie.judges.engine import Engine, Row
    from coterie.judges.pair_ranker.checkpoint import Checkpoint
    from coterie.judges.pointwise.encoding import RowEncoder

RankerKind = Literal["pointwise", "simcls", "summareranker"]

KNOWN_ROWS = 5_000
"""Rows whose scores are remembered: SimCLS' are vectors of a thousand numbers."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class RankerWeights(ABC, Generic[Item]):
    """A checkpoint of one kind, and how it is run. Its engine reads an `Item` a row."""

    model: str
    """A folder or a hub name."""
    device: str = "auto"
    """`auto` takes a GPU where there is one."""
    precision: Precision = "auto"
    """`auto` is float16 on a GPU and float32 on a CPU."""
    budget_tokens: int | None = None
    """Tokens in a batch, padding included; by the device where left out."""
    source_tokens: int | None = None
    """Instead of the checkpoint's own."""
    candidate_tokens: int | None = None
    """Instead of the checkpoint's own."""
    keep: Keep | None = None
    """Which end of a text that is too long is kept. Left out, the one that the checkpoint was trained with: what its
    `config.json` says, or else the start."""
    cache_folder: str | None = None

    kind: ClassVar[RankerKind]
    """What the checkpoint's `ranker_type` must say."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Engine[Item]]:
        """The ranker, loaded. Raises `ConfigError`, `MissingExtra`."""
        engine = await asyncio.to_thread(self.load)
        try:
            yield engine
        finally:
            await asyncio.to_thread(engine.close)

    def load(self) -> Engine[Item]:
        """The ranker, loaded here and now; whoever calls closes it."""
        place = placed(self.device, self.precision, f"a {self.kind} ranker")
        return self._opened(self._found(), place)

    @abstractmethod
    def _encoder(self, found: Checkpoint) -> RowEncoder[Item]:
        """How the checkpoint's rows are made."""

    def _found(self) -> Checkpoint:
        from coterie.judges.pair_ranker import checkpoint

        return checkpoint.find(
            self.model,
            cache_folder=self.cache_folder,
            source_maxlength=self.source_tokens,
            candidate_maxlength=self.candidate_tokens,
            keep=self.keep,
        )

    def _opened(self, found: Checkpoint, place: Placement) -> Engine[Item]:
        from coterie.judges.pointwise import network
        from coterie.judges.pretrained import most_tokens

        there = found.settings.get("ranker_type")
        if there != self.kind:
            raise ConfigError(
                f"{self.model!r} holds a ranker of the type {there!r}, and this judge runs {self.kind!r} alone"
            )
        encoder = self._encoder(found)
        loaded = network.load(found, self.kind, vocabulary=encoder.vocabulary, place=place)
        most = most_tokens(loaded.pretrained_model, place)
        if most is not None and encoder.longest > most:
            raise ConfigError(
                f"{self.model!r} tells {most} places apart, and rows may have {encoder.longest} tokens: "
                "lower source_tokens and candidate_tokens"
            )
        return self._engine(encoder.row, loaded, place)

    def _engine(self, encode: Callable[[Item], Row], network: nn.Module, place: Placement) -> Engine[Item]:
        from coterie.judges.engine import Engine
        from coterie.judges.pair_ranker.network import TorchForward
        from coterie.judges.pointwise.network import Spoken

        budget = self.budget_tokens or place.budget_tokens
        return Engine(
            encode,
            TorchForward(Spoken(network), place.device),
            budget_tokens=budget,
            pad_to=place.pad_to,
            known_rows=KNOWN_ROWS,
        )
