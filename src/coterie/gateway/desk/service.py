"""What one configuration serves: its committee, its models and its keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from coterie.committee import Committee
from coterie.config import Config
from coterie.gateway.catalog import Catalog
from coterie.gateway.health import Health
from coterie.gateway.keeping.ledger import Ledger
from coterie.gateway.keys import Keys


@dataclass(frozen=True, eq=False)
class Service:
    """A configuration, ready to be asked."""

    config: Config
    committee: Committee
    catalog: Catalog
    keys: Keys
    health: Health

    @classmethod
    def of(cls, config: Config, before: Service | None = None) -> Service:
        """Raises `ConfigError`. `before` is the service that this one replaces: what its keys have used goes on."""
        committee = Committee.from_config(config, breaker=config.gateway.breaker)
        ledger = Ledger(config.store.beside) if config.store is not None else None
        keys = Keys(config.gateway.keys, before.keys if before is not None else None, ledger)
        return cls(config, committee, Catalog(config), keys, Health(committee))

    @asynccontextmanager
    async def open(self, *, look_first: bool = False) -> AsyncIterator[None]:
        """While it is entered, the committee lives on this loop, and its members are looked at from time to time.

        With `look_first` they are open, and were looked at, before it is entered.
        """
        async with self.committee:
            if look_first:
                await self.health.look()
            looking = asyncio.ensure_future(self.health.watch())
            try:
                yield
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
