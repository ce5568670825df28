"""How many gateways stand behind each other in a request, so that a circle of them comes to an end."""

from __future__ import annotations

from contextvars import ContextVar

HEADER = "x-coterie-depth"

DEPTH: ContextVar[int] = ContextVar("coterie.depth", default=0)
"""Sent to endpoints where it is set: a gateway that is one of its own members counts itself again each time."""
