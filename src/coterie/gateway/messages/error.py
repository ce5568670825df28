"""Refusals in the form of Anthropic's API."""

from __future__ import annotations

from collections.abc import Mapping

from coterie.gateway.refusal import Refusal
from coterie.types import Json

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Whatever is not named here is the request's fault: `invalid_request_error`.

Anthropic says 529 for an overload. Here it stays 503, which proxies and balancers know: the official client treats
all from 500 on alike and goes by `x-should-retry` first, and who looks at the type finds the one they look for.
"""


def body(refusal: Refusal, request_id: str) -> Json:
    return {**event(refusal), "request_id": request_id}


def event(refusal: Refusal) -> dict[str, Json]:
    """The same in mid-stream, where the headers have said the request's id."""
    error: dict[str, Json] = {
        "type": TYPES.get(refusal.status, "invalid_request_error"),
        "message": refusal.message,
    }
    if refusal.code is not None:
        error["details"] = {"error_code": refusal.code}
    return {"type": "error", "error": error}
