"""The ledger of one run: its events, its clock, what it has spent and who has failed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import count

from coterie.errors import MemberError
from coterie.run.stream import Channel, StreamItem
from coterie.trace import CallFailed, CandidateOffered, Event, Noted, Trace
from coterie.types import (
    Candidate,
    Failure,
    FailureKind,
    Judgement,
    Limits,
    Price,
    Request,
    Usage,
)

BYTES_A_TOKEN = 3
"""A cautious guess for text whose tokens nobody counted: English has about 4, other scripts fewer."""

_KEPT_OUT = frozenset({FailureKind.BUDGET, FailureKind.DEADLINE, FailureKind.EXCLUDED, FailureKind.CANCELLED})
"""Failures that are not the member's: they do not keep it out of the rest of the request."""


class Ledger:
    """Everything a run remembers. All views of one run share one ledger."""

    def __init__(self, limits: Limits, channel: Channel | None) -> None:
        self.limits = limits
        self.channel = channel
        self.usage = Usage()
        self.events: list[Event] = []
        self.failures: list[Failure] = []
        self.judgements: dict[Judgement, str] = {}
        self.rankings: list[tuple[str, frozenset[str]]] = []
        self.partial = False
        self.shown = False
        """True when pieces of the answer were published."""
        self._began = time.perf_counter()
        self._numbers = {kind: count(1) for kind in "kcjrw"}
        self._failed: dict[str, Failure] = {}
        self._reserved_usd = 0.0
        self._known_usd = 0.0
        self._known_tokens = 0
        self._calls = 0

    # ---- time and events ----------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.limits.deadline_s - self.now()

    def id(self, kind: str) -> str:
        """A fresh id: ``k`` for calls, ``w`` work, ``c`` candidates, ``j`` judgements, ``r`` rankings."""
        return f"{kind}{next(self._numbers[kind])}"

    def write(self, event: Event) -> None:
        self.events.append(event)
        self.publish(event)

    def note(self, text: str) -> None:
        """Write what a reader must know."""
        self.write(Noted(self.now(), text))

    def publish(self, item: StreamItem) -> None:
        if self.channel is not None:
            self.channel.put(item)

    @property
    def candidates(self) -> list[Candidate]:
        """What was offered so far, fused texts included."""
        return [event.candidate for event in self.events if isinstance(event, CandidateOffered)]

    @property
    def trace(self) -> Trace:
        return Trace(tuple(self.events))

    def ranking_over(self, ids: Iterable[str]) -> tuple[str, ...]:
        """The id of the last ranking that speaks of all `ids`, if there is one."""
        wanted = set(ids)
        return next(((id_,) for id_, over in reversed(self.rankings) if wanted <= over), ())

    # ---- failures -----------------------------------------------------------------------------

    def fail(self, failure: Failure, *, silent: bool = False) -> Failure:
        """Remember that a call failed. A silent one stands in the trace no more than a call never made.

        A review that nobody waited for any more stands in the trace alone: it is no failure of its member.
        """
        if failure.kind in (FailureKind.DEADLINE, FailureKind.BUDGET):
            self.partial = True
        cut_review = failure.kind is FailureKind.CUT and failure.stage != "generate"
        if failure.kind not in _KEPT_OUT and not cut_review:  # a slow reviewer may still write well
            self._failed.setdefault(failure.member, failure)
        if failure.kind is not FailureKind.EXCLUDED and not cut_review and not self._said_before(failure):
            self.failures.append(failure)
        if not silent:
            self.write(CallFailed(self.now(), failure.call, failure))
        return failure

    def _said_before(self, failure: Failure) -> bool:
        return any(f.member == failure.member and f.kind == failure.kind for f in self.failures)

    def failed(self, member: str) -> Failure | None:
        """The failure that keeps `member` out of the rest of this request."""
        return self._failed.get(member)

    # ---- money --------------------------------------------------------------------------------

    def refusal(self, price: Price | None, request: Request, texts: Sequence[str] = ()) -> str:
        """Why the budget allows no call of this size now; empty when it does."""
        limits = self.limits
        if limits.max_calls is not None and self._calls >= limits.max_calls:
            return f"max_calls={limits.max_calls} is spent"
        if limits.max_tokens is not None and self._known_tokens >= limits.max_tokens:
            return f"max_tokens={limits.max_tokens} is spent"
        if limits.max_usd is not None:
            wanted = estimate_usd(price, request, texts)
            if self._known_usd + self._reserved_usd + wanted > limits.max_usd:
                return f"max_usd={limits.max_usd} leaves no room for a call of about {wanted:.6f} USD"
        return ""

    @property
    def overrun_usd(self) -> float:
        """What was spent beyond `max_usd`, as far as costs are known."""
        return 0.0 if self.limits.max_usd is None else max(0.0, self._known_usd - self.limits.max_usd)

    def reserve(self, usd: float) -> None:
        """Set `usd` aside for a call in flight (take it back with a negative sum)."""
        self._reserved_usd += usd

    def take_call(self) -> None:
        """Count one request that is about to be sent. Raises `MemberError` when the budget allows none."""
        if self.limits.max_calls is not None and self._calls >= self.limits.max_calls:
            raise MemberError(f"not sent: max_calls={self.limits.max_calls} is spent", FailureKind.BUDGET)
        self._calls += 1

    def spend(self, usage: Usage, request: Request) -> None:
        """Book what a call consumed."""
        self.usage += usage
        self._known_usd += usage.cost_usd or 0.0
        if usage.input_tokens is not None:
            self._known_tokens += usage.input_tokens + (usage.output_tokens or 0)
        elif self.limits.max_tokens is not None:
            self._known_tokens += guess_tokens(request)


def guess_tokens(request: Request, texts: Sequence[str] = ()) -> int:
    """Tokens that `request` and `texts` probably are."""
    size = sum(len(m.text.encode("utf-8", "replace")) for m in request.messages)
    size += sum(len(text.encode("utf-8", "replace")) for text in texts)
    return size // BYTES_A_TOKEN + 1


def estimate_usd(price: Price | None, request: Request, texts: Sequence[str] = ()) -> float:
    """What a call costs at least: its prompt, and its output where the request bounds that.

    0 when the price is unknown, which a note says. An answer that nothing bounds may cost more, which a
    note says when it did.
    """
    if price is None:
        return 0.0
    return price.cost_usd(guess_tokens(request, texts), request.sampling.max_tokens or 0) or 0.0
