"""Whether the gateway lives, and whether it is ready: members are open and reachable, or known not to be."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from coterie.committee import Committee
from coterie.protocols import MemberSpec
from coterie.types import Json

log = logging.getLogger("coterie.gateway")

PROBE_S = 3.0
"""For so long an endpoint may take to accept a connection, and no longer does a start wait for it."""

State = Literal["reachable", "unreachable", "unavailable"]


class Health:
    """What is known of the members since the start."""

    def __init__(self, committee: Committee) -> None:
        self._committee = committee
        self._members: dict[str, State] | None = None

    async def look(self) -> None:
        """Open all members, and see which endpoints accept a connection. Nothing is asked, so it costs nothing."""
        seats = await self._committee.aopen()
        specs = self._committee.config.members
        reached = await asyncio.gather(*(_reached(specs[name]) for name in seats))
        states = zip(seats.items(), reached, strict=True)
        self._members = {name: _state(seat.model is not None, there) for (name, seat), there in states}
        if away := [name for name, state in self._members.items() if state != "reachable"]:
            log.warning("not reachable: %s", ", ".join(away))

    @property
    def ready(self) -> bool:
        return self._members is not None

    @property
    def report(self) -> dict[str, Json]:
        if self._members is None:
            return {"status": "starting"}
        whole = all(state == "reachable" for state in self._members.values())
        return {"status": "ready" if whole else "degraded", "members": dict(self._members)}


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
