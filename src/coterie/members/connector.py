"""Connections that are used again only while nothing lies on them that nobody asked for.

Loaded with the first pool, since aiohttp takes a while to load.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class CleanConnector(aiohttp.TCPConnector):
    """Bytes that come after the end of an answer would be taken for the answer to the next request on the connection,
    which is another's. aiohttp looks for them when an answer ends, and not again before it asks."""

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        now_s = monotonic()
        for protocol, since_s in self._conns.get(key, ()):
            if protocol.should_close:
                protocol.close()  # it is then passed over
            elif protocol.is_connected() and now_s - since_s < (self._keepalive_timeout or 0.0):
                break  # it is the one that is taken
        return await super()._get(key, traces)
