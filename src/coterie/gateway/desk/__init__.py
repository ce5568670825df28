"""The desk: where requests arrive, and where the configuration that serves them stands."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coterie.config import ApiKey, Config
from coterie.gateway.body_room import BodyRoom
from coterie.gateway.desk.admission import Admission
from coterie.gateway.desk.service import Service
from coterie.gateway.keeping.archive import Archive
from coterie.gateway.serving import ending

if TYPE_CHECKING:
    from starlette.types import Receive

log = logging.getLogger("coterie.gateway")

LEAVING_S = 30.0
"""So long after the deadline of its run a request on a replaced configuration may take to hand over its answer."""


class Desk:
    """Hands every request the service of the moment, and keeps that open until the request has ended."""

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError`."""
        self._shift = _Shift(Service.of(config))
        self._retiring: set[asyncio.Task[None]] = set()
        self._replacing = asyncio.Lock()
        self.admission = Admission(config.gateway)
        self.bodies = BodyRoom(config.gateway.max_bodies_mib << 20)
        self.archive = Archive.of(config)
        self.draining = False
        """True once the server was told to stop: it is not ready any more."""

    @property
    def service(self) -> Service:
        """For what asks no member: it may be replaced as soon as somebody else has a turn on the loop."""
        return self._shift.service

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While it is entered, requests are served."""
        await self._shift.begin()
        try:
            yield
        finally:
            for task in self._retiring:
                task.cancel()
            if self._retiring:
                await asyncio.wait(self._retiring)
            await self._shift.end(0)

    def place(self, key: ApiKey | None = None, receive: Receive | None = None) -> Place:
        """The service, for a request that asks members, while it is entered. Entering may wait, and raises `Refusal`
        where too many are under way; `receive` tells that the client has gone away meanwhile."""
        return Place(self, key, receive)

    @property
    def shift(self) -> _Shift:
        return self._shift

    async def replace(self, config: Config) -> None:
        """Afterwards new requests meet `config`, and those under way end on what they began with.

        Whatever it raises (`ConfigError`), all is as it was before.
        """
        async with self._replacing:
            fresh = _Shift(Service.of(config, before=self.service))
            await fresh.begin(look_first=True)
            old, self._shift = self._shift, fresh
            self.admission.change(config.gateway)
            self.bodies.most_bytes = config.gateway.max_bodies_mib << 20
            retiring = asyncio.ensure_future(old.end(old.service.config.limits.deadline_s + LEAVING_S))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        self._retiring.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a replaced configuration could not be closed: %s", type(error).__name__)


class _Shift:
    """A service while it serves, and the requests that are under way on it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.requests: set[asyncio.Task[Any]] = set()
        self._opened = AsyncExitStack()

    async def begin(self, *, look_first: bool = False) -> None:
        await self._opened.enter_async_context(self.service.open(look_first=look_first))

    async def end(self, within_s: float) -> None:
        """It is closed, once the last request has left; those that are left after `within_s` are ended."""
        try:
            if self.requests:
                await asyncio.wait(set(self.requests), timeout=within_s if within_s < math.inf else None)
        finally:
            await ending.end(self.requests)
            await self._opened.aclose()


class Place:
    """A request's place at the desk, held while it is entered."""

    def __init__(self, desk: Desk, key: ApiKey | None, receive: Receive | None) -> None:
        self._desk = desk
        self._key = key
        self._receive = receive

    async def __aenter__(self) -> Service:
        await self._desk.admission.enter(self._key, self._receive)
        self._began_s = time.monotonic()
        self._shift = self._desk.shift
        self._task = asyncio.current_task()
        if self._task is not None:
            self._shift.requests.add(self._task)
        return self._shift.service

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._shift.requests.discard(self._task)
        self._desk.admission.leave(self._key, time.monotonic() - self._began_s)
