"""A request that is answered with an error: the status, and OpenAI's body of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from coterie.errors import NoAnswer
from coterie.types import Failure, FailureKind, Json, Usage

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    408: "timeout",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "timeout",
}
"""Whatever is not named here is the request's fault: `invalid_request_error`."""

BUSY_S = 1.0
"""What Retry-After says where no endpoint said anything."""

_CLIENTS_FAULT = frozenset({400, 413, 422})
"""Statuses with which an endpoint speaks of the request and not of itself: its words are for the client."""


class Refusal(Exception):
    """The answer is an error. Its message holds no secret, no prompt and nothing of the endpoints' whereabouts."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        spent: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message.encode("utf-8", "replace").decode()  # an endpoint's words may hold half a character
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.spent = spent
        """True where the same request again may cost its money again."""

    @property
    def body(self) -> dict[str, Json]:
        kind = "insufficient_quota" if self.code == "insufficient_quota" else None
        kind = kind or TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def retry_headers(self) -> dict[str, str]:
        """What tells a client whether to ask again, and when."""
        again = self.status in (408, 409, 429, 503) and not self.spent and self.code != "insufficient_quota"
        headers = {"x-should-retry": "true" if again else "false"}
        if self.retry_after_s is not None and self.code != "insufficient_quota":
            headers["retry-after"] = str(math.ceil(self.retry_after_s))
            headers["retry-after-ms"] = str(math.ceil(self.retry_after_s * 1000))
        return headers


def of_no_answer(error: NoAnswer, usage: Usage | None, single: bool) -> Refusal:
    """What a client is told when nobody answered. `usage` is what that took; `single` for one member alone."""
    failures = error.failures
    spent = usage is None or usage.output_tokens != 0 or usage.cost_usd != 0.0
    said = "; ".join(f"{failure.member}: {_why(failure)}" for failure in failures) or "nobody could be asked"
    status = _common(failures)
    if status == 429:
        return Refusal(429, f"no answer: {said}", code="upstream_busy", retry_after_s=_soonest_s(failures))
    if status in _CLIENTS_FAULT and single:
        return Refusal(status, failures[0].error, code="upstream_refused")
    if status in _CLIENTS_FAULT:
        return Refusal(status, f"every member refused the request: {said}", code="upstream_refused")
    if any(failure.kind is FailureKind.BUDGET for failure in failures):
        return Refusal(429, f"no answer within the request's budget: {said}", code="insufficient_quota", spent=spent)
    kept = {503: "members_unavailable", 504: "deadline_exceeded", 500: "internal"}.get(status, "upstream_failed")
    wait_s = _soonest_s(failures) if status == 503 else None
    return Refusal(status, f"no answer: {said}", code=kept, retry_after_s=wait_s, spent=spent)


def _soonest_s(failures: Sequence[Failure]) -> float:
    """When the first of them can be asked again, as far as anybody said so."""
    return min((failure.retry_after_s for failure in failures if failure.retry_after_s is not None), default=BUSY_S)


def _common(failures: Sequence[Failure]) -> int:
    """The status that all failures share; 502 where they have none in common."""
    statuses = {_status(failure) for failure in failures}
    return statuses.pop() if len(statuses) == 1 else 502


def _status(failure: Failure) -> int:
    match failure.kind:
        case FailureKind.TIMEOUT | FailureKind.DEADLINE | FailureKind.CUT:
            return 504
        case FailureKind.UNAVAILABLE | FailureKind.UNRECORDED:
            return 503
        case FailureKind.INTERNAL:
            return 500
        case FailureKind.HTTP if failure.status in (*_CLIENTS_FAULT, 429):
            return failure.status or 502
        case _:
            return 502


def _why(failure: Failure) -> str:
    """What kind of failure it was. The endpoint's own words may quote anything, so they are not repeated."""
    return f"HTTP {failure.status}" if failure.status is not None else failure.kind.value
