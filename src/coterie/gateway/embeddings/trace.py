"""What one request for embeddings took, as a trace: counted, logged and booked like any other run's."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from coterie.config import EmbeddingEndpoint
from coterie.errors import MemberError
from coterie.trace import (
    CallFailed,
    CallFinished,
    CallRetried,
    CallStarted,
    Event,
    RunFinished,
    RunStarted,
    Status,
    Trace,
)
from coterie.types import Card, Completion, Failure, FailureKind, Limits, Price, Request, Usage

STAGE = "embed"

UNKNOWN = Usage(1, None, 0, None)
UNBILLED = Usage(1, 0, 0, 0.0)
"""What an endpoint refuses it does not bill."""
UNASKED = Usage()

_CALL = "call-1"


class EmbeddingTrace:
    """The trace of one call while it is written. It holds no text and no vector."""

    def __init__(self, name: str, spec: EmbeddingEndpoint, limits: Limits) -> None:
        self._name = name
        self._price = None if spec.price_usd is None else Price(spec.price_usd, 0.0)
        self._began_s = time.perf_counter()
        card = Card(name, spec.model, self._price, timeout_s=spec.timeout_s)
        at = datetime.now(UTC).isoformat()
        self.run = f"run-{uuid4().hex}"
        self._events: list[Event] = [
            RunStarted(0.0, self.run, name, {"kind": "embeddings"}, Request(()), (card,), limits, 0, at),
            CallStarted(0.0, _CALL, name, STAGE),
        ]

    @property
    def whole(self) -> Trace:
        """Once the call has ended."""
        return Trace(tuple(self._events))

    def retried(self, attempt: int, said: str, wait_s: float) -> None:
        self._events.append(CallRetried(self._since_s(), _CALL, attempt, said, wait_s))

    def answered(self, tokens: int | None, reported_usd: float | None) -> None:
        """The cost is by the configured price, or else as the endpoint itself reported it."""
        cost_usd = reported_usd if self._price is None else self._price.cost_usd(tokens, 0)
        usage, at_s = Usage(1, tokens, 0, cost_usd), self._since_s()
        done = Completion(self._name, "", usage=usage, latency_s=at_s, call=_CALL)
        self._events += [CallFinished(at_s, _CALL, done), RunFinished(at_s, "answered", usage)]

    def failed(self, error: MemberError) -> Failure:
        failure = self._failure(str(error), error.kind, error.usage or UNKNOWN)
        failure = replace(failure, status=error.status, retry_after_s=error.retry_after_s)
        self._ended("no_answer", failure)
        return failure

    def cancelled(self) -> None:
        self._ended("cancelled", self._failure("the request was cancelled", FailureKind.CANCELLED, UNKNOWN))

    def _failure(self, said: str, kind: FailureKind, usage: Usage) -> Failure:
        return Failure(self._name, said, kind, STAGE, usage, self._since_s(), _CALL)

    def _ended(self, status: Status, failure: Failure) -> None:
        at_s = self._since_s()
        finished = RunFinished(at_s, status, failure.usage, failure.kind.value)
        self._events += [CallFailed(at_s, _CALL, failure), finished]

    def _since_s(self) -> float:
        return time.perf_counter() - self._began_s
