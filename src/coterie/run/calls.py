"""One call to one member: its slot, its time, its retries. Ends in a value or in cancellation."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from coterie.errors import MemberError
from coterie.protocols import Model
from coterie.types import Card, FailureKind, Usage

log = logging.getLogger("coterie")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0

UNKNOWN = Usage(0, None, None, None)
"""A call that consumed nobody knows what."""

T = TypeVar("T")


@dataclass(frozen=True)
class Seat:
    """A member's place in the pool, open for as long as its committee is."""

    card: Card
    model: Model | None
    error: str = ""
    """Why there is no model: it could not be opened."""
    timeout_s: float = 60.0
    retries: int = 2
    slots: asyncio.Semaphore | None = None
    """Calls the member takes at once; ``None`` for as many as come."""


@dataclass
class Attempts:
    """The tries of one call, in the time it has."""

    seat: Seat
    deadline_left_s: float
    rng: Callable[[], random.Random]
    """Makes the randomness of waits; called only when one is due."""
    on_try: Callable[[], None]
    """Told before every request; raises `MemberError` where the budget allows none."""
    on_retry: Callable[[int, str, float], None]
    """Told the number of the failed try, its error and the seconds until the next."""
    started_s: float = 0.0
    """Loop time at which the call got its slot."""
    tries: int = 0
    spent: Usage = Usage()
    """What the failed tries consumed."""

    async def run(self, call: Callable[[], Awaitable[T]], *, used: Callable[[], bool] = lambda: False) -> T:
        """What `call` returns, retried where that can help and `used` says that nothing of it was passed on.

        Raises `MemberError`: the last try's, or a timeout or deadline.
        """
        loop = asyncio.get_running_loop()
        asked = self.started_s = loop.time()
        ends = asked + min(self.seat.timeout_s, self.deadline_left_s)
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout_at(ends))
                if self.seat.slots is not None:
                    await stack.enter_async_context(self.seat.slots)
                    self.started_s = loop.time()
                return await self._tries(call, used, ends)
        except TimeoutError:
            raise self._out_of_time() from None

    async def _tries(self, call: Callable[[], Awaitable[T]], used: Callable[[], bool], ends: float) -> T:
        while True:
            self.on_try()
            self.tries += 1
            try:
                return await call()
            except MemberError as error:
                wait_s = self._wait_s(error)
                if not error.retryable or used() or self.tries > self.seat.retries:
                    raise
                if asyncio.get_running_loop().time() + wait_s >= ends:
                    raise MemberError(
                        f"{error}; the next try in {wait_s:.1f} s would come too late", error.kind, usage=error.usage
                    ) from error
                self.spent += replace(error.usage or UNKNOWN, calls=0)
                self.on_retry(self.tries, str(error), wait_s)
                await asyncio.sleep(wait_s)

    def _wait_s(self, error: MemberError) -> float:
        """What the endpoint asked for, else exponential backoff; jittered so that members do not march in step."""
        if error.retry_after_s is not None:
            return error.retry_after_s * self.rng().uniform(1.0, 1.1)
        return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (self.tries - 1)) * self.rng().uniform(0.5, 1.0))

    def _out_of_time(self) -> MemberError:
        if self.deadline_left_s <= self.seat.timeout_s:
            return MemberError(
                f"cut off after {self.deadline_left_s:.1f} s: the request's deadline", FailureKind.DEADLINE
            )
        return MemberError(f"no answer within timeout_s={self.seat.timeout_s}", FailureKind.TIMEOUT)


def defect(member: str, error: Exception) -> MemberError:
    """What a member's own defect looks like to the others; the traceback goes to the log."""
    log.error("member %r failed with a defect of its own", member, exc_info=error)
    return MemberError(f"{type(error).__name__}: {error}", FailureKind.INTERNAL)
