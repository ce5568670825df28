"""Who watches visits: what is counted, logged and traced of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable

from coterie.gateway.desk import Desk
from coterie.gateway.visit import Watcher
from coterie.gateway.watching import telemetry
from coterie.gateway.watching.logs import RequestLog
from coterie.gateway.watching.metrics import Metrics


@runtime_checkable
class Closes(Protocol):
    """A watcher that has something to send or write before the process ends."""

    def close(self) -> None:
        """It may wait, but not for long."""
        ...


def watchers(desk: Desk, metrics: Metrics) -> list[Watcher]:
    """Who is told of each request. What is watched is settled at the start. Raises `MissingExtra`."""
    settings = desk.service.config.gateway
    spans = telemetry.wanted(settings, lambda: desk.service.config)
    return [RequestLog(settings.log), metrics, *([spans] if spans else [])]


@asynccontextmanager
async def closing(watching: Sequence[Watcher]) -> AsyncIterator[None]:
    """Afterwards what watchers still held is sent and written."""
    try:
        yield
    finally:
        for watcher in watching:
            if isinstance(watcher, Closes):
                await asyncio.to_thread(watcher.close)
