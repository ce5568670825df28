"""What the gateway itself ends before it is done: requests that outlast the time for which a server drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from coterie.gateway.refusal import Refusal

ENDED = "ended by the gateway"
"""The message with which the task of such a request is cancelled."""

TELLING_S = 2.0
"""So long a request that was ended may take to tell its client."""


async def end(requests: Iterable[asyncio.Task[Any]], within_s: float = TELLING_S) -> None:
    """Afterwards the requests have ended: their calls are cancelled, and their clients are told why.

    One that does not let go within `within_s` is not waited for.
    """
    tasks = [task for task in requests if not task.done()]
    for task in tasks:
        task.cancel(ENDED)
    if tasks:
        await asyncio.wait(tasks, timeout=within_s)


def refusal(cancelled: asyncio.CancelledError) -> Refusal:
    """What the client of an ended request is told. Raises `cancelled` where it was not the gateway that ended it."""
    if cancelled.args != (ENDED,):
        raise cancelled
    said = "the gateway is being stopped or was given another configuration, and the request took longer than it waits"
    return Refusal(503, said, code="shutting_down", spent=True)
