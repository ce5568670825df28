"""What of a request to Messages has no place in a chat completion, although it may change the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from coterie.gateway.messages.request import MessagesRequest

FIELDS = frozenset({"context_management", "diagnostics", "service_tier", "speed", "user_profile_id", "workspace_id"})
"""Fields that only Anthropic's own service knows what to do with."""

_SILENT = frozenset({"type", "cache_control"})
"""`cache_control` says what to keep for later, and changes no answer: endpoints of chat keep what they like."""

_OF_TOOLS = frozenset({"name", "description", "input_schema", "strict"}) | _SILENT

_OF_BLOCKS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text"}) | _SILENT,
    "image": frozenset({"source"}) | _SILENT,
    "tool_use": frozenset({"id", "name", "input"}) | _SILENT,
    "tool_result": frozenset({"tool_use_id", "content", "is_error"}) | _SILENT,
}
"""What of a block is translated. What was thought on earlier turns stands not here: only who thought it can read it."""


def left_out(asked: MessagesRequest) -> tuple[str, ...]:
    """Its names, each once."""
    return tuple(dict.fromkeys(_names(asked)))


def _names(asked: MessagesRequest) -> Iterator[str]:
    if asked.thinking is not None and asked.thinking["type"] != "disabled":
        yield "thinking"
    for key, value in (asked.output_config or {}).items():
        if key != "format" and value is not None:
            yield f"output_config.{key}"
    yield from (name for name, value in (asked.model_extra or {}).items() if name in FIELDS and value is not None)
    for tool in asked.tools or ():
        yield from (f"tools.{key}" for key, value in tool.items() if key not in _OF_TOOLS and value is not None)
    for turn in asked.messages:
        if isinstance(turn["content"], list):
            for block in turn["content"]:
                yield from _names_of_block(block)


def _names_of_block(block: Mapping[str, Any]) -> Iterator[str]:
    kind = block["type"]
    known = _OF_BLOCKS.get(kind)
    if known is None:
        yield f"messages.content.{kind}"
        return
    yield from (f"messages.content.{kind}.{key}" for key, value in block.items() if key not in known and value)
