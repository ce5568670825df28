"""Places: what requests hold while they are under way. Who finds none free waits, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque

from coterie.gateway.refusal import BUSY_S

LONGEST_S = 60.0
"""The longest wait that anybody is told: further ahead nothing is known."""

SMOOTHING = 0.1
"""Of the moving mean of how long a place is held."""


class Places:
    """So many as `most` requests at once, and those who wait for one of them to end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: deque[asyncio.Future[None]] = deque()
        self._held_s: float | None = None
        self.taken = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        return self.taken >= self._most

    def resize(self, most: int) -> None:
        """Afterwards there are `most`. Nobody loses a place, but none is given before there are fewer taken."""
        self._most = most
        while self._queue and self.taken < most:
            self.taken += 1
            self._queue.popleft().set_result(None)

    def take(self) -> bool:
        """Take a place. False where none is free, or others wait for one already."""
        if self.taken >= self._most or self._queue:
            return False
        self.taken += 1
        return True

    async def wait(self, timeout_s: float, gone: asyncio.Future[None]) -> bool:
        """Wait for a place and take it. False when the time is over, or `gone` is done before there is one."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(mine)
        try:
            await asyncio.wait([mine, gone], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if mine.done():
                self.give_back()
            raise
        finally:
            if not mine.done():
                self._queue.remove(mine)
        return mine.done()

    def give_back(self, held_s: float | None = None) -> None:
        """The place is the next one's who waits. `held_s` is how long a request was under way."""
        if held_s is not None:
            before_s = held_s if self._held_s is None else self._held_s
            self._held_s = before_s + SMOOTHING * (held_s - before_s)
        if self._queue and self.taken <= self._most:
            self._queue.popleft().set_result(None)
        else:
            self.taken -= 1

    @property
    def wait_s(self) -> float:
        """After how long one more would probably find a place, as long as places are held as they were."""
        if self._held_s is None:
            return BUSY_S
        return min(LONGEST_S, max(BUSY_S, (len(self._queue) + 1) * self._held_s / self._most))
