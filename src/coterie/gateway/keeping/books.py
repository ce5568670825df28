"""The books: what is to outlive this process goes to the store about once a second, and not with each request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from coterie.errors import StoreError
from coterie.gateway.desk import Desk

log = logging.getLogger("coterie.gateway")

EVERY_S = 1.0


class Books:
    """Writes what keys have used, and the runs that are kept, to the store of the configuration that serves."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._away = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """What keys used before is known when it is entered, and the last is written when it is left, or left to the
        next process where the store is away."""
        self._desk.service.keys.accounts.inherit()
        self._desk.archive.inherit()
        await self.write()
        writing = asyncio.ensure_future(self._keep())
        try:
            yield
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await self.write()
            self._desk.service.keys.accounts.close()
            self._desk.archive.close()

    async def write(self) -> None:
        """Afterwards the store knows what there is to know, if it can be reached; otherwise it hears it later."""
        service = self._desk.service
        if service.config.store is None:
            return
        try:
            store = await service.committee.astore()
            await service.keys.accounts.share(store.records)
            await self._desk.archive.write(store.runs)
        except StoreError as error:
            if not self._away:
                log.error("the store is away, so nothing is written until it is back: %s", error)
            self._away = True
            return
        if self._away:
            log.warning("the store is back; of %d runs the trace was lost meanwhile", self._desk.archive.lost)
        self._away = False

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.write()
            except Exception as error:  # one defect must not end the books
                log.error("the books could not be written: %s", type(error).__name__)
