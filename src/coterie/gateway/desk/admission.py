"""Admission: who is let in, who waits, and who is told to come again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from coterie.config import ApiKey, GatewaySettings
from coterie.gateway.desk.places import Places
from coterie.gateway.event_stream import gone
from coterie.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive


class Admission:
    """Bounds how many requests that ask members are under way, all together and of one key."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._places = Places(settings.max_requests)
        self._of_keys: dict[str, Places] = {}
        self._waiting = 0
        self.settings = settings

    @property
    def under_way(self) -> int:
        return self._places.taken

    @property
    def waiting(self) -> int:
        return self._waiting

    def change(self, settings: GatewaySettings) -> None:
        """Afterwards the bounds are those of `settings`; who is in stays."""
        self.settings = settings
        self._places.resize(settings.max_requests)
        bounds = {key.id: key.max_concurrency for key in settings.keys}
        for id_, places in list(self._of_keys.items()):
            if (most := bounds.get(id_)) is not None:
                places.resize(most)
            elif not places.taken:
                del self._of_keys[id_]

    def check(self) -> None:
        """Raises `Refusal` where neither a place nor room to wait is left: no body is read for nothing."""
        if self._waiting >= self.settings.max_waiting and self._places.full:
            raise self._full()

    async def enter(self, key: ApiKey | None, receive: Receive | None) -> None:
        """Afterwards a request of `key` has its place. `receive` tells that its client has gone away.

        Raises `Refusal`: 429 where the key has as many as it may, 503 where there are as many as the gateway takes.
        """
        ends_s = time.monotonic() + self.settings.max_wait_s
        own = self._own(key)
        if key is not None and own is not None and not own.take():
            await self._wait_for_own(own, key, receive, ends_s)
        if self._places.take():
            return
        try:
            if not await self._wait(self._places, self.settings.max_waiting, receive, ends_s):
                raise self._full()
        except BaseException:
            if own is not None:
                own.give_back()
            raise

    def _full(self) -> Refusal:
        said = "the gateway has as many requests under way as it takes"
        return Refusal(503, said, code="overloaded", retry_after_s=self._places.wait_s)

    async def _wait_for_own(self, own: Places, key: ApiKey, receive: Receive | None, ends_s: float) -> None:
        """As many of a key's requests wait as may be under way, so that one key does not fill the waiting room."""
        most = key.max_concurrency or 0
        if not await self._wait(own, most, receive, ends_s):
            said = f"this key may have {most} requests under way at once"
            raise Refusal(429, said, code="concurrency_limit_exceeded", retry_after_s=own.wait_s)

    def leave(self, key: ApiKey | None, held_s: float) -> None:
        """The request has ended, after `held_s` seconds in its place."""
        if (own := self._own(key)) is not None:
            own.give_back(held_s)
        self._places.give_back(held_s)

    def _own(self, key: ApiKey | None) -> Places | None:
        """The places of one key; ``None`` for a key without a bound of its own."""
        if key is None or key.max_concurrency is None:
            return None
        if key.id not in self._of_keys:
            self._of_keys[key.id] = Places(key.max_concurrency)
        return self._of_keys[key.id]

    async def _wait(self, places: Places, room: int, receive: Receive | None, ends_s: float) -> bool:
        """False where there is no room to wait in, or no place in time. Raises `Refusal` when the client goes away."""
        if places.waiting >= room or self._waiting >= self.settings.max_waiting:
            return False
        left = asyncio.ensure_future(_gone(receive))
        self._waiting += 1
        try:
            if await places.wait(max(0.0, ends_s - time.monotonic()), left):
                return True
            if left.done():
                raise Refusal(499, "the client went away", code="client_closed_request")
            return False
        finally:
            self._waiting -= 1
            left.cancel()  # and not awaited: a place that was just taken must not be lost here


async def _gone(receive: Receive | None) -> None:
    """Returns when the client has gone away; never, where nobody tells."""
    if receive is None:
        await asyncio.Event().wait()
    else:
        await gone(receive)
