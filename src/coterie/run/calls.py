"""One call to one member: its slot, its time, its retries. Ends in a value or in cancellation."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from coterie.errors import MemberError
from coterie.protocols import Model
from coterie.run.breaker import Breaker
from coterie.run.ledger import Ledger
from coterie.trace import CallRetried
from coterie.types import Card, FailureKind, Usage

log = logging.getLogger("coterie")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0

UNKNOWN = Usage(0, None, None, None)
"""A call that consumed nobody knows what."""

NOTHING = Usage()

_FREE = nullcontext()
"""The slot of a member that takes any number of calls at once."""

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
    breaker: Breaker | None = None
    """Leaves the member alone while its endpoint is in trouble; ``None`` asks it whatever happened."""


class Listener(Protocol):
    """Whoever is shown a text while it is written."""

    used: bool
    """True once something was shown: from then on a retry would show it twice."""
    chars: int
    """Of what was shown."""


@dataclass
class Attempts:
    """The tries of one call, in the time it has.

    It holds what it needs instead of closures over it: a committee has a thousand of these under way
    at once, and what the garbage collector must visit is most of what a call costs.
    """

    seat: Seat
    ledger: Ledger
    call: str
    seed: int
    """Seeds the jitter of waits, which a replay repeats."""
    listener: Listener | None = None
    started_s: float = 0.0
    """Loop time at which the call got its slot."""
    tries: int = 0
    spent: Usage = NOTHING
    """What the failed tries consumed."""

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """What `work` gets from the model, retried where that can help and nothing of it was shown yet.

        Raises `MemberError`: the last try's, or a timeout or deadline.
        """
        loop = asyncio.get_running_loop()
        self._left_s = self.ledger.left_s
        self.started_s = loop.time()
        ends = self.started_s + min(self.seat.timeout_s, self._left_s)
        breaker = self.seat.breaker
        if breaker is not None and breaker.wait_s > 0:  # not even a slot is waited for
            raise self._resting(breaker)
        try:
            async with asyncio.timeout_at(ends) as clock, self.seat.slots or _FREE:
                self.started_s = loop.time()
                while True:
                    try:
                        if breaker is not None:
                            return await self._watched(work, breaker, clock)
                        self._take()
                        return await work(self.seat.model)
                    except MemberError as error:
                        wait_s = self._before_next_s(error, ends)
                    await asyncio.sleep(wait_s)
        except TimeoutError as error:
            if not clock.expired():
                raise MemberError(f"a time-out of its own: {error}", FailureKind.CONNECTION) from error
            raise self._out_of_time() from None

    def _take(self) -> None:
        """Count one more try. Raises `MemberError` where the budget allows none."""
        self.ledger.take_call()
        self.tries += 1

    async def _watched(self, work: Callable[[Any], Awaitable[T]], breaker: Breaker, clock: asyncio.Timeout) -> T:
        """One try, whose end the breaker is told. Raises `MemberError`, also where none may be made now."""
        if breaker.wait_s > 0:  # it opened while this call waited
            raise self._resting(breaker)
        self._take()
        ticket = breaker.enter()
        try:
            outcome = await work(self.seat.model)
        except MemberError as error:
            breaker.heard(ticket, error)
            raise
        except BaseException as error:
            if isinstance(error, TimeoutError) or (clock.expired() and self._outlasted):
                breaker.failed(ticket)
            else:  # a deadline, a client that left, a defect: none of them is the endpoint's
                breaker.left(ticket)
            raise
        breaker.succeeded(ticket)
        return outcome

    @property
    def _outlasted(self) -> bool:
        """True where the member's own time is over, and the endpoint had most of it: no slot was waited for instead."""
        had_s = asyncio.get_running_loop().time() - self.started_s
        return self._left_s > self.seat.timeout_s and had_s >= self.seat.timeout_s / 2

    def _resting(self, breaker: Breaker) -> MemberError:
        said = f"not asked: its endpoint is in trouble and left alone for {breaker.wait_s:.1f} s more"
        return MemberError(said, FailureKind.UNAVAILABLE, retry_after_s=breaker.wait_s)

    def _before_next_s(self, error: MemberError, ends: float) -> float:
        """Seconds until the next try, recorded. Raises `error` where there is none."""
        shown = self.listener is not None and self.listener.used
        resting = self.seat.breaker is not None and self.seat.breaker.wait_s > 0
        if not error.retryable or shown or resting or self.tries > self.seat.retries:
            raise error
        wait_s = self._wait_s(error)
        if asyncio.get_running_loop().time() + wait_s >= ends:
            raise MemberError(
                f"{error}; the next try in {wait_s:.1f} s would come too late",
                error.kind,
                usage=error.usage,
                retry_after_s=error.retry_after_s,
                status=error.status,
            ) from error
        self.spent += replace(error.usage or UNKNOWN, calls=0)
        self.ledger.write(CallRetried(self.ledger.now(), self.call, self.tries, str(error), wait_s))
        return wait_s

    def _wait_s(self, error: MemberError) -> float:
        """What the endpoint asked for, else exponential backoff; jittered so that members do not march in step."""
        rng = random.Random(f"{self.seed}:retry:{self.call}:{self.tries}")
        if error.retry_after_s is not None:
            return error.retry_after_s * rng.uniform(1.0, 1.1)
        return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (self.tries - 1)) * rng.uniform(0.5, 1.0))

    def _out_of_time(self) -> MemberError:
        if self._left_s <= self.seat.timeout_s:
            return MemberError(f"cut off after {self._left_s:.1f} s: the request's deadline", FailureKind.DEADLINE)
        return MemberError(f"no answer within timeout_s={self.seat.timeout_s}", FailureKind.TIMEOUT)


def defect(member: str, error: Exception) -> MemberError:
    """What a member's own defect looks like to the others; the traceback goes to the log."""
    log.error("member %r failed with a defect of its own", member, exc_info=error)
    return MemberError(f"{type(error).__name__}: {error}", FailureKind.INTERNAL)
