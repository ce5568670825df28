"""The circuit breaker: a member whose endpoint is in trouble is left alone for a while, then tried with one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from coterie.errors import MemberError
from coterie.types import FailureKind

LONGEST_REST_S = 300.0
"""No endpoint can ask for more: whatever it says, it is tried again after so long."""

PROBING_S = 1.0
"""How long to wait, as far as anybody knows, while one call tries whether the endpoint is back."""

SLICES = 10
"""The window moves on by a tenth of its length: so many counts are kept, however many calls there are."""

State = Literal["closed", "open", "half_open"]
Sign = Literal["ill", "well", "none"]

_ILL = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.MALFORMED, FailureKind.TRUNCATED})


def sign_of(error: MemberError) -> Sign:
    """What a failure says of the endpoint.

    A broken or refused connection, the member's own time-out, a status from 500 on and an answer that is none: it is
    ill. A refused request or an empty text: it is there. Whatever else happened says nothing, 429 included.
    """
    if error.kind in _ILL:
        return "ill"
    if error.kind is FailureKind.EMPTY:
        return "well"
    if error.kind is not FailureKind.HTTP or error.status is None or error.status == 429:
        return "none"
    return "ill" if error.status >= 500 else "well"


@dataclass
class _Slice:
    began_s: float
    ended: int = 0
    failed: int = 0


@dataclass
class Breaker:
    """What the last calls to one member say of its endpoint, and whether it is asked now.

    Closed, every call is made. It opens when within `window_s` so many as `failures` calls failed by the endpoint's
    fault, and half or more of all that ended; or at once when the endpoint itself asks for a rest of `rest_s` or more.
    Open, no call is made for `rest_s`, or as long as the endpoint asked. Half open, one call is made: it closes the
    breaker or opens it again. Calls from before it opened change nothing any more.
    """

    failures: int = 5
    window_s: float = 30.0
    rest_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    opened: int = 0
    """How many times it has opened."""
    _ticket: int = 0
    """Of calls that may still tell something: whenever the state changes there is a new one."""
    _until_s: float | None = None
    """On `clock`; ``None`` while it is closed."""
    _probing: bool = False
    _slices: deque[_Slice] = field(default_factory=deque)

    @property
    def state(self) -> State:
        """``half_open`` from the moment the rest is over until it is known how the next call ends."""
        if self._until_s is None:
            return "closed"
        return "half_open" if self._probing or self.clock() >= self._until_s else "open"

    @property
    def wait_s(self) -> float:
        """Seconds until a call may be made; 0 where one may be made now."""
        if self._until_s is None:
            return 0.0
        return PROBING_S if self._probing else max(0.0, self._until_s - self.clock())

    def enter(self) -> int:
        """A ticket for one call, whose end must be told with it. Only while `wait_s` is 0."""
        if self._until_s is not None:
            self._ticket += 1
            self._probing = True
        return self._ticket

    # ---- how a call ended ---------------------------------------------------------------------

    def succeeded(self, ticket: int) -> None:
        """The endpoint answered."""
        if ticket != self._ticket:
            return
        if self._probing:
            self._close()
        else:
            self._now().ended += 1

    def failed(self, ticket: int) -> None:
        """The call failed by the endpoint's fault."""
        if ticket != self._ticket:
            return
        if self._probing:
            self._open(self.rest_s)
            return
        now = self._now()
        now.ended += 1
        now.failed += 1
        failed = sum(part.failed for part in self._slices)
        if failed >= self.failures and 2 * failed >= sum(part.ended for part in self._slices):
            self._open(self.rest_s)

    def left(self, ticket: int) -> None:
        """The call ended without telling anything, such as one that nobody waited for any more."""
        if ticket == self._ticket and self._probing:
            self._probing = False
            self._ticket += 1

    def heard(self, ticket: int, error: MemberError) -> None:
        """The call failed with `error`."""
        rest_s = error.retry_after_s
        if rest_s is not None and rest_s >= self.rest_s and error.status in (429, 503):
            self._asked_for(ticket, min(rest_s, LONGEST_REST_S))
            return
        match sign_of(error):
            case "ill":
                self.failed(ticket)
            case "well":
                self.succeeded(ticket)
            case "none":
                self.left(ticket)

    # ---- states -------------------------------------------------------------------------------

    def _asked_for(self, ticket: int, rest_s: float) -> None:
        """The endpoint itself said for how long it wants to be left alone."""
        if ticket == self._ticket:
            self._open(rest_s)
        elif self._until_s is not None and not self._probing:
            self._until_s = max(self._until_s, self.clock() + rest_s)

    def _open(self, rest_s: float) -> None:
        self.opened += self._until_s is None
        self._until_s = self.clock() + rest_s
        self._probing = False
        self._ticket += 1
        self._slices.clear()

    def _close(self) -> None:
        self._until_s = None
        self._probing = False
        self._ticket += 1

    def _now(self) -> _Slice:
        """The part of the window that is being counted; what is older than the window is forgotten."""
        now = self.clock()
        while self._slices and self._slices[0].began_s <= now - self.window_s:
            self._slices.popleft()
        if not self._slices or now - self._slices[-1].began_s >= self.window_s / SLICES:
            self._slices.append(_Slice(now))
        return self._slices[-1]
