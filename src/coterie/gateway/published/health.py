"""Health and counts, as the published document tells them."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from coterie.gateway.operation import CLOSED, JSON, TRACING, Operation, Said


class Live(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    status: Literal["live"]


class Ready(TypedDict):
    """Whether requests are taken, and what is known of the members."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    status: Literal["ready", "degraded", "starting", "draining"]
    members: NotRequired[dict[str, Literal["reachable", "unreachable", "unavailable", "resting"]]]


OPERATIONS = (
    Operation(
        "get",
        "/health/live",
        "isLive",
        "Whether the process answers. It asks nobody.",
        {200: Said("It does.", {JSON: Live})},
        parameters=TRACING,
        needs_key=False,
        tag="health",
    ),
    Operation(
        "get",
        "/health/ready",
        "isReady",
        "Whether requests are taken. It asks nobody.",
        {
            200: Said("They are; `degraded` where a member is not reachable.", {JSON: Ready}),
            503: Said("Not yet, or not any more.", {JSON: Ready}),
        },
        parameters=TRACING,
        needs_key=False,
        tag="health",
    ),
    Operation(
        "get",
        "/metrics",
        "getMetrics",
        "The counts, for Prometheus.",
        {
            200: Said(
                "In Prometheus' format, or OpenMetrics where `accept` names it.",
                {"text/plain": str, "application/openmetrics-text": str},
            )
        },
        parameters=TRACING,
        tag="health",
    ),
)
