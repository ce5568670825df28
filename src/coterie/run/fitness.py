"""Whether what a member wrote can stand for election: something, and JSON where JSON was asked for."""

from __future__ import annotations

from coterie.types import Completion, FailureKind, Json, Request, is_json

Unfit = tuple[str, FailureKind]
"""Why it cannot, in words and by kind."""


def unfit(written: Completion, request: Request, *, alone: bool) -> Unfit | None:
    """Why `written` is no candidate; ``None`` where it is one.

    Of a member that answers `alone` everything is passed on that it said. Where several were asked, one that broke its
    JSON must not win over one that did not. Whether the JSON is as the schema wants it, is not looked at.
    """
    if not written.text.strip() and not written.tool_calls and not written.declined:
        return "an empty answer", FailureKind.EMPTY
    if alone:
        return None
    if any(not is_json(arguments) for arguments in map(_arguments, written.tool_calls)):
        return "it calls a tool with what is no JSON", FailureKind.MALFORMED
    if request.schema is not None and not written.tool_calls and not is_json(written.text):
        return "its answer was to be JSON and is none", FailureKind.MALFORMED
    return None


def _arguments(call: Json) -> str:
    """Of a called function, as JSON; of any other tool nothing that could be wrong."""
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return arguments if isinstance(arguments, str) and arguments.strip() else "{}"
