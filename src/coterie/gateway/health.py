"""Whether the gateway lives, and whether it is ready: members are open and reachable, or known not to be."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from coterie.committee import Committee
from coterie.protocols import MemberSpec
from coterie.types import Json

log = logging.getLogger("coterie.gateway")

PROBE_S = 3.0
"""For so long an endpoint may take to accept a connection, and no longer does a start wait for it."""

EVERY_S = 30.0
"""So often endpoints are tried for a connection, asked or not."""

State = Literal["reachable", "unreachable", "unavailable", "resting"]
"""Those that rest are left alone by their breaker, because calls to them failed."""


class Health:
    """What is known of the members: by a connection from time to time, and by how calls to them end."""

    def __init__(self, committee: Committee, every_s: float = EVERY_S) -> None:
        self._committee = committee
        self._every_s = every_s
        self._members: dict[str, State] | None = None
        self._looked_s = -math.inf

    async def watch(self) -> None:
        """Look now, unless that was done, and from time to time. It ends when it is cancelled."""
        while True:
            try:
                if self._looked_s < time.monotonic() - self._every_s:
                    await self.look()
            except Exception as error:
                log.error("the members could not be looked at: %s", type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Open all members, and see which endpoints accept a connection. Nothing is asked, so it costs nothing."""
        seats = await self._committee.aopen()
        specs = self._committee.config.members
        reached = await asyncio.gather(*(_reached(specs[name]) for name in seats))
        states = zip(seats.items(), reached, strict=True)
        before = self._members or {}
        self._members = {name: _state(seat.model is not None, there) for (name, seat), there in states}
        self._looked_s = time.monotonic()
        if away := [name for name, state in self._members.items() if "reachable" != state != before.get(name)]:
            log.warning("not reachable: %s", ", ".join(away))

    @property
    def ready(self) -> bool:
        return self._members is not None

    @property
    def report(self) -> dict[str, Json]:
        if self._members is None:
            return {"status": "starting"}
        breakers = self._committee.breakers.items()
        resting: dict[str, State] = {name: "resting" for name, breaker in breakers if breaker.wait_s > 0}
        members = {**self._members, **resting}
        whole = all(state == "reachable" for state in members.values())
        return {"status": "ready" if whole else "degraded", "members": members}


def _state(opened: bool, reached: bool) -> State:
    if not opened:
        return "unavailable"
    return "reachable" if reached else "unreachable"


async def _reached(member: MemberSpec) -> bool:
    """True when the member's endpoint (or the proxy before it) accepts a connection, and for members without one."""
    url = getattr(member, "proxy", None) or getattr(member, "base_url", None)
    if url is None:
        return True
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
