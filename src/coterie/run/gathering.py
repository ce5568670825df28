"""Calls side by side: who is waited for, for how long, and what becomes of those who are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from coterie.types import Failure, Judgement, Limits

T = TypeVar("T")

Until = Callable[[Sequence[T | None]], bool]
"""Shown what there is after each call, in order and with ``None`` for what is awaited; true when that is enough."""

LETTING_GO_S = 1.0
"""How long a cancelled call may take to let go. A member that swallows cancellation is not waited for."""

CUT = "cut"
"""The message with which a call is cancelled that nobody waits for any more."""

SETTLED = "settled"
"""The same, for one that could not change anything any more."""


async def gathered(
    calls: Sequence[Awaitable[T]], limits: Limits, *, every: bool = False, until: Until[T] | None = None
) -> list[T | None]:
    """What the calls returned, in order; ``None`` for one that was cut.

    Ends when all are done, when the quorum has answered and the grace time is over (unless `every` one is to
    be waited for), when `until` says so, or when one of them (or `until`) raises, which is raised here.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    why: str | None = CUT
    try:
        if await _Wait(tasks, len(tasks) if every else limits.quorum or len(tasks), until).over(limits.grace_s):
            why = SETTLED
    except asyncio.CancelledError as cancelled:
        why = cancelled.args[0] if cancelled.args else None  # our own calls end for the reason that ended us
        raise
    finally:
        await let_go(*tasks, why=why)
    return _results(tasks)


async def let_go(*tasks: asyncio.Future[Any], why: str | None = None) -> None:
    """Cancel those that are not done, and wait for them as long as letting go may take."""
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel(why)
    if late:
        await asyncio.wait(late, timeout=LETTING_GO_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # of several that broke one is raised, and the others are not "never retrieved"


class _Wait:
    """How far the tasks have come."""

    def __init__(self, tasks: Sequence[asyncio.Future[Any]], quorum: int, until: Until[Any] | None) -> None:
        self._tasks = tasks
        self._quorum = quorum
        self._until = until
        self._left, self._good = len(tasks), 0
        self._settled = False
        self._broken: BaseException | None = None
        self._some, self._every = asyncio.Event(), asyncio.Event()
        for task in tasks:
            task.add_done_callback(self._landed)

    async def over(self, grace_s: float) -> bool:
        """Return when nobody is waited for any more; true when what there is settled it. Raises what broke."""
        if not self._tasks:
            return False
        await self._some.wait()
        if not self._every.is_set():
            try:
                async with asyncio.timeout(grace_s):
                    await self._every.wait()
            except TimeoutError:
                return False
        if self._broken is not None:
            raise self._broken
        return self._settled

    def _landed(self, task: asyncio.Future[Any]) -> None:
        self._left -= 1
        if not task.cancelled():
            self._broken = self._broken or task.exception()
        if self._broken is None:
            self._good += not (task.cancelled() or is_failure(task.result()))
            self._ask_until()
        ends = self._left == 0 or self._broken is not None or self._settled
        if ends or self._good >= self._quorum:
            self._some.set()
        if ends:
            self._every.set()

    def _ask_until(self) -> None:
        if self._until is None or self._settled or not self._left:
            return
        try:
            self._settled = self._until(_results(self._tasks))
        except Exception as error:  # raised in a callback it would only be logged, and the wait never end
            self._broken = error


def is_failure(result: object) -> bool:
    """True for what fills no quorum: nothing, a failure, a ballot that says nothing."""
    return result is None or isinstance(result, Failure) or (isinstance(result, Judgement) and not result.about)


def _results(tasks: Sequence[asyncio.Future[Any]]) -> list[Any | None]:
    return [None if not task.done() or task.cancelled() else task.result() for task in tasks]
