"""`GET /v1/runs/{id}` and `POST /v1/feedback`, as the published document tells them."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from coterie.gateway.keeping.feedback import FeedbackRequest
from coterie.gateway.keeping.runs import JSON_LINES
from coterie.gateway.operation import CLOSED, JSON, READING, TRACING, Operation, Parameter, Said


class RunDocument(TypedDict):
    """What happened in a run, event by event."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    object: Literal["coterie.run"]
    created: int
    events: list[dict[str, Any]]


class Heard(TypedDict):
    """What became of the feedback."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    object: Literal["coterie.feedback"]
    run_id: str
    learned: bool
    """True where a router has learned from it already."""
    why: str
    """Why not, where not."""


OPERATIONS = (
    Operation(
        "get",
        "/v1/runs/{id}",
        "getRun",
        "The trace of a run, for the key that made it.",
        {
            200: Said(
                f"The trace; as lines of JSON where `accept` names {JSON_LINES}.", {JSON: RunDocument, JSON_LINES: str}
            )
        },
        frozenset({404, 503}),
        parameters=(Parameter("id", "path", "The id of an answer, or of its run."), *TRACING),
        tag="runs",
    ),
    Operation(
        "post",
        "/v1/feedback",
        "createFeedback",
        "Say how good an answer was, for routers that learn.",
        {200: Said("It was taken.", {JSON: Heard})},
        READING | {404, 429, 503},
        FeedbackRequest,
        TRACING,
        tag="runs",
    ),
)
