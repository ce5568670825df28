"""The desk: where requests arrive, and where the configuration that serves them stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coterie.config import Config
from coterie.gateway.service import Service


class Desk:
    """Hands every request the service of the moment, and keeps that open until the request has ended."""

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError`."""
        self._service = Service.of(config)

    @property
    def service(self) -> Service:
        """For what asks no member: it may be replaced as soon as somebody else has a turn on the loop."""
        return self._service

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While it is entered, requests are served."""
        async with self._service.open():
            yield

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Service]:
        """The service, for a request that asks members. Raises `Refusal` where too many are under way."""
        yield self._service
