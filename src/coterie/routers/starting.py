"""What a learner begins with, where an artifact is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from coterie.errors import ConfigError
from coterie.prospects import Prospects
from coterie.protocols import Encoder, Run
from coterie.routers.forecast import Fitted
from coterie.routers.spending import Spending
from coterie.types import Price

T = TypeVar("T", bound=Fitted)


def started(folder: str, kind: type[T], encoder: Encoder | None = None) -> T:
    """The router in `folder`, to learn on from.

    Raises `ConfigError` where it is of another class, or reads vectors of another encoder than `encoder`.
    """
    from coterie.routers.artifact import opened

    artifact = opened(folder)
    if not isinstance(artifact.fitted, kind):
        raise ConfigError(f"{folder!r} holds a router of the kind {artifact.fitted.kind!r}, not {kind.kind!r}")
    if encoder is not None and artifact.encoder_identity != encoder.identity:
        raise ConfigError(
            f"{folder!r} reads vectors of {artifact.encoder_identity!r}, and this router's encoder makes those of "
            f"{encoder.identity!r}: give it the same one"
        )
    return artifact.fitted


@dataclass(frozen=True)
class StartSpending:
    """Opens what members spent in the data of an artifact, without opening the router again."""

    folder: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Spending]:
        """Raises `ConfigError` for a folder that does not say it."""
        yield await asyncio.to_thread(self._read)

    def _read(self) -> Spending:
        from coterie.routers.artifact import ROUTER

        try:
            told = json.loads((Path(self.folder).expanduser() / ROUTER).read_bytes())
            return Spending.from_json(told["spending"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.folder!r} does not say what its members spend: {error!r}") from error


async def with_spending(said: Prospects, start: str | None, run: Run) -> Prospects:
    """What a learner says, with what its members spent in the data of the artifact it began with, if there is one.

    Raises `ConfigError` for a folder that does not say it.
    """
    if start is None:
        return said
    spending = await run.open(StartSpending(start))
    prices = prices_of([prospect.member for prospect in said.members], run)
    return replace(said, members=tuple(spending.on(each, prices.get(each.member)) for each in said.members))


def prices_of(members: Sequence[str], run: Run) -> Mapping[str, Price]:
    """Prices of the members for which one is known."""
    listed = {member: run.cards[member].price for member in members if member in run.cards}
    return {member: price for member, price in listed.items() if price is not None}
