"""An operation as the published document tells it: what is sent, what is answered, what is refused.

An interface describes its own beside its reader, in types that pydantic makes JSON Schema of; `openapi` collects them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict

from coterie.types import Json

CLOSED = ConfigDict(extra="forbid")
"""Of the documents that are ours to the last field."""

OPEN = ConfigDict(extra="allow")
"""Of what a client may say more in than is read here."""

JSON = "application/json"
EVENTS = "text/event-stream"

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "rate_limit_error",
    "insufficient_quota",
    "server_error",
    "timeout",
]


class ErrorDetails(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    message: str
    """What was wrong, and what to do. It quotes neither the request nor an endpoint's secrets."""
    type: ErrorType
    param: str | None
    """The field that does not fit."""
    code: str | None
    """Which failure it is, for programs."""


class ErrorBody(TypedDict):
    """A refusal in OpenAI's form."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    error: ErrorDetails


@dataclass(frozen=True)
class Said:
    """What an answer holds."""

    about: str
    forms: Mapping[str, Any]
    """By media type: a type that pydantic knows; ``str`` for what is no JSON."""
    headers: tuple[str, ...] = ()
    """Names in `HEADERS`, beside those that every answer has."""
    events: tuple[Any, ...] = ()
    """What the data of an event may be, where the answer may be a stream of events."""
    last: str | None = None
    """The data of a stream's last event, where that is no JSON."""


@dataclass(frozen=True)
class Parameter:
    """What stands in the path or in a header of a request."""

    name: str
    where: Literal["path", "header"]
    about: str
    form: Any = str


TRACING = (
    Parameter("x-request-id", "header", "The request's id, of letters, digits and `._:-`; a new one where left out."),
    Parameter("traceparent", "header", "W3C's trace context, where the client traces."),
)


@dataclass(frozen=True)
class Operation:
    """One method at one path."""

    method: Literal["get", "post"]
    path: str
    id: str
    summary: str
    answers: Mapping[int, Said]
    """By status. Where one of them is an error as well, what stands here holds."""
    refusals: frozenset[int] = frozenset()
    """The statuses that are errors, beside those of every operation."""
    request: Any = None
    """What the body must be."""
    parameters: tuple[Parameter, ...] = ()
    examples: Mapping[str, Json] = field(default_factory=dict)
    """Requests to a configuration that has a method `default`, each with a name."""
    error: type = ErrorBody
    needs_key: bool = True
    tag: str = field(default="gateway", kw_only=True)


ANYWHERE = frozenset({431, 500})
"""What any operation may answer: too large a head, and a mistake of ours."""

KEYED = frozenset({401, 403})
"""What an operation that asks for a key may answer."""

READING = frozenset({400, 408, 413, 415})
"""What an operation that reads a body may answer."""

ASKING = frozenset({404, 422, 429, 502, 503, 504})
"""What an operation that asks members may answer."""

WHY: Mapping[int, str] = {
    400: "The request does not fit, or the model cannot do what is asked for: `message` says why, `param` names the "
    "field.",
    401: "No API key, or an unknown one.",
    403: "The key may not do this, or without keys a page from elsewhere asks.",
    404: "There is nothing of this name; for a model, the message names those there are.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is no JSON by its own account.",
    422: "The endpoint of a single member refused the request as it is.",
    429: "A key's rate, budget or requests at once, the request's budget, or every endpoint is busy (`code` says).",
    431: "The headers are too many or too large.",
    500: "The gateway failed; its logs know the request's id.",
    502: "The endpoints failed, or an answer that was to be JSON is none.",
    503: "Too many requests are under way, the server is ending, or nobody who could answer can be asked now.",
    504: "Time was over before anybody had answered.",
}

HEADERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "x-request-id": ("The request's id: the client's own, or a new one.", {"type": "string"}),
    "request-id": ("The same, under Anthropic's name.", {"type": "string"}),
    "x-coterie-run-id": ("The run that answered, as traces and feedback name it.", {"type": "string"}),
    "x-coterie-calls": ("Calls of members, all together.", {"type": "integer", "minimum": 0}),
    "x-coterie-cost-usd": ("What all calls cost; absent when a price is unknown.", {"type": "number", "minimum": 0}),
    "x-coterie-overhead-ms": (
        "Time beyond the critical path of the members' calls.",
        {"type": "number", "minimum": 0},
    ),
    "x-coterie-warnings": ("What of the request was left out.", {"type": "string"}),
    "x-ratelimit-limit-requests": ("Requests a minute that the key may make.", {"type": "integer", "minimum": 0}),
    "x-ratelimit-remaining-requests": ("Those that are left at once.", {"type": "integer", "minimum": 0}),
    "x-ratelimit-reset-requests": ("When all are there again, as in `1.500s`.", {"type": "string"}),
    "x-should-retry": ("Whether another try costs nothing twice.", {"enum": ["true", "false"]}),
    "retry-after": ("Seconds to wait before another try.", {"type": "integer", "minimum": 0}),
    "retry-after-ms": ("The same in milliseconds.", {"type": "integer", "minimum": 0}),
    "www-authenticate": ("`Bearer`.", {"type": "string"}),
}

OPTIONAL_HEADERS = frozenset(HEADERS) - {"x-request-id", "request-id", "x-should-retry", "www-authenticate"}
"""Those of runs are there on whole answers: in a stream the headers go out before anything is known of the run."""

ON_ALL = ("x-request-id", "request-id")
ON_ANSWERS = (
    "x-coterie-run-id",
    "x-coterie-calls",
    "x-coterie-cost-usd",
    "x-coterie-overhead-ms",
    "x-coterie-warnings",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
ON_REFUSALS: Mapping[int, tuple[str, ...]] = {
    401: ("x-should-retry", "www-authenticate"),
    429: ("x-should-retry", "retry-after", "retry-after-ms"),
    503: ("x-should-retry", "retry-after", "retry-after-ms"),
}
"""By status; any other says `x-should-retry` alone."""
