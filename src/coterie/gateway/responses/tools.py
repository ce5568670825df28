"""Tools as the Responses API has them, flat, and as Chat Completions has them, nested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from coterie.gateway.refusal import Refusal
from coterie.gateway.responses.misfit import misfit
from coterie.types import Json

CHOICES = ("none", "auto", "required")


class FunctionTool(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    type: Literal["function"]
    name: str
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


_FUNCTION = TypeAdapter(FunctionTool)


def fields(tools: Sequence[Mapping[str, Json]], choice: Json, parallel: bool | None) -> dict[str, Json]:
    """`tools`, `tool_choice` and `parallel_tool_calls` of a chat completion. Raises `Refusal`.

    Without tools there is none of the three: clients of the Responses API send the latter two anyway, and endpoints of
    Chat Completions refuse them then.
    """
    chosen = _choice(choice)
    if not tools:
        if chosen not in (None, "none", "auto"):
            said = "tool_choice asks for a tool, and tools names none"
            raise Refusal(400, said, code="invalid_value", param="tool_choice")
        return {}
    nested = [_nested(n, tool) for n, tool in enumerate(tools)]
    return {"tools": nested, "tool_choice": chosen, "parallel_tool_calls": parallel}


def _nested(n: int, tool: Mapping[str, Json]) -> dict[str, Json]:
    kind = tool.get("type")
    if kind != "function":
        said = f"tools of type {str(kind)[:80]!r} are not run here; functions are, by whoever asks"
        raise Refusal(400, said, code="unsupported_parameter", param=f"tools[{n}].type")
    try:
        function = _FUNCTION.validate_python(tool)
    except ValidationError as error:
        raise misfit(error, "tools", n) from None
    return {"type": "function", "function": {k: v for k, v in function.items() if k != "type" and v is not None}}


def _choice(choice: Json) -> Json:
    match choice:
        case None | "none" | "auto" | "required":
            return choice
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case _:
            said = f"tool_choice must be one of {', '.join(CHOICES)}, or a function: {{type: function, name: ...}}"
            raise Refusal(400, said, code="invalid_value", param="tool_choice")
