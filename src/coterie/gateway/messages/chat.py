"""A request to Messages as the chat completion that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from coterie.gateway.chat.request import MAX_MESSAGES, ChatRequest
from coterie.gateway.messages.left_out import FIELDS as LEFT_OUT
from coterie.gateway.messages.request import MessagesRequest, Tool, ToolChoice
from coterie.gateway.messages.turns import messages as of_turns
from coterie.gateway.misfit import misfit
from coterie.gateway.refusal import Refusal
from coterie.types import Json

_REFUSED: Mapping[str, str] = {
    "container": "no code runs here",
    "mcp_servers": "no server of tools is asked here; ask it yourself, and send tools",
    "inference_geo": "where members run is not known here",
}
"""Fields that would make the answer another one, or break a promise, if they were left out."""

_SAME_IN_CHAT = frozenset({"seed", "frequency_penalty", "presence_penalty"})
"""Fields of Chat Completions that a client may well send here, under the names they have there."""

_CHATS = (frozenset(ChatRequest.model_fields) | {"functions", "function_call"}) - _SAME_IN_CHAT


def as_chat(asked: MessagesRequest) -> ChatRequest:
    """The same question to Chat Completions. Raises `Refusal` for what cannot be asked there."""
    _check_last(asked)
    messages: list[Any] = list(of_turns(asked))
    if not messages:
        raise Refusal(400, "the messages are empty", code="invalid_value", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise Refusal(400, f"the turns make more than {MAX_MESSAGES} messages", code="invalid_value", param="messages")
    fields: dict[str, Json] = {
        "stream": asked.stream,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences or None,
        "response_format": _format(asked),
        "coterie": asked.coterie,
        **_tools(asked.tools or (), asked.tool_choice),
        **_others(asked.model_extra or {}),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return ChatRequest(model=asked.model, messages=messages, max_tokens=asked.max_tokens, **given)
    except ValidationError as error:  # of a field that has its name from there
        raise misfit(error) from None


def _check_last(asked: MessagesRequest) -> None:
    last = len(asked.messages) - 1
    if asked.messages[last]["role"] == "assistant":
        said = (
            "the last turn is the assistant's, to be continued (a prefill): endpoints of chat begin anew, so it cannot "
            "be promised; end with a user's turn"
        )
        raise Refusal(400, said, code="unsupported_parameter", param=f"messages[{last}].role")


def _others(more: Mapping[str, Json]) -> dict[str, Json]:
    """Fields that nobody here knows: for whoever answers. Raises `Refusal` for those that have another meaning."""
    given = {name: value for name, value in more.items() if value is not None and name not in LEFT_OUT}
    for name in given:
        if name in _REFUSED:
            said = f"{name} cannot be taken: {_REFUSED[name]}"
            raise Refusal(400, said, code="unsupported_parameter", param=name)
        if name in _CHATS:
            raise Refusal(400, f"{name} is no field of Messages", code="unknown_parameter", param=name)
    return given


# ---- tools and forms --------------------------------------------------------------------------


def _tools(tools: Sequence[Tool], choice: ToolChoice | None) -> dict[str, Json]:
    if not tools and choice is not None:
        raise Refusal(400, "tool_choice needs tools", code="invalid_value", param="tool_choice")
    if not tools:
        return {}
    fields: dict[str, Json] = {"tools": [_tool(n, tool) for n, tool in enumerate(tools)]}
    if choice is not None:
        fields["tool_choice"] = _choice(choice, {tool["name"] for tool in tools})
        if choice.get("disable_parallel_tool_use"):
            fields["parallel_tool_calls"] = False
    return fields


def _tool(n: int, tool: Tool) -> dict[str, Json]:
    """Raises `Refusal` for a tool that Anthropic runs, or whose form only its models were taught."""
    if (kind := tool.get("type") or "custom") != "custom":
        said = f"tools[{n}].type: {kind!r:.80} is Anthropic's own; what is taken here: 'custom', with an input_schema"
        raise Refusal(400, said, code="unsupported_parameter", param=f"tools[{n}].type")
    if "input_schema" not in tool:
        param = f"tools[{n}].input_schema"
        raise Refusal(400, f"{param}: Field required", code="missing_parameter", param=param)
    function: dict[str, Json] = {key: value for key, value in tool.items() if key in ("name", "description", "strict")}
    return {"type": "function", "function": {**function, "parameters": tool["input_schema"]}}


def _choice(choice: ToolChoice, names: set[str]) -> Json:
    if choice["type"] == "any":
        return "required"
    if choice["type"] != "tool":
        return choice["type"]
    if choice.get("name") not in names:
        raise Refusal(400, "tool_choice.name is none of the tools", code="invalid_value", param="tool_choice.name")
    return {"type": "function", "function": {"name": choice["name"]}}


def _format(asked: MessagesRequest) -> Json:
    wanted = asked.output_config.get("format") if asked.output_config else None
    if wanted is None:
        return None
    schema = {"name": "answer", "schema": wanted["schema"], "strict": True}
    return {"type": "json_schema", "json_schema": schema}
