"""The W3C trace context in which members are asked, for whoever follows a request through several services."""

from __future__ import annotations

from contextvars import ContextVar

TRACEPARENT: ContextVar[str] = ContextVar("coterie.traceparent", default="")
"""Sent to endpoints as ``traceparent`` where it is set (https://www.w3.org/TR/trace-context/)."""
