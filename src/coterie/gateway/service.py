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
    def of(cls, config: Config) -> Service:
        """Raises `ConfigError`."""
        committee = Committee.from_config(config)
        return cls(config, committee, Catalog(config), Keys(config.gateway.keys), Health(committee))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While it is entered, the committee lives on this loop, and its members are looked at once."""
        async with self.committee:
            looking = asyncio.ensure_future(self.health.look())
            try:
                yield
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
