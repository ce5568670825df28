"""The turns of a request to Messages as messages of a chat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from coterie.gateway.messages.request import MessagesRequest, TextBlock
from coterie.gateway.refusal import Refusal
from coterie.types import Json


def messages(asked: MessagesRequest) -> Iterator[dict[str, Json]]:
    """Raises `Refusal` for turns that have no order there."""
    yield from _system(asked.system or "")
    for n, turn in enumerate(asked.messages):
        match turn["role"]:
            case "user" if isinstance(turn["content"], list):
                yield from _user(n, turn["content"])
            case "user":
                yield {"role": "user", "content": turn["content"]}
            case "assistant":
                yield from _assistant(turn["content"])
            case "system":
                yield from _system(turn["content"])


def _system(content: str | Sequence[TextBlock]) -> Iterator[dict[str, Json]]:
    if text := _text(content):
        yield {"role": "system", "content": text}


def _text(content: str | Iterable[TextBlock]) -> str:
    """Blocks of text as one: many endpoints read strings alone."""
    return content if isinstance(content, str) else "\n".join(block["text"] for block in content)


def _user(n: int, blocks: Sequence[Any]) -> Iterator[dict[str, Json]]:
    """The tools' results, each a message, then what the user says beside them."""
    results = [block for block in blocks if block["type"] == "tool_result"]
    if any(block["type"] != "tool_result" for block in blocks[: len(results)]):
        said = f"messages[{n}].content: results of tools come first, and what is said beside them after"
        raise Refusal(400, said, code="invalid_value", param=f"messages[{n}].content")
    for block in results:
        text = _text(block.get("content") or "")
        # A tool's message has no place for the flag.
        said = f"Error: {text}" if block.get("is_error") else text
        yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": said}
    beside = blocks[len(results) :]
    if beside or not results:
        yield {"role": "user", "content": _parts(beside)}


def _parts(blocks: Sequence[Any]) -> str | list[dict[str, Json]]:
    """A string where there is nothing but text."""
    if all(block["type"] == "text" for block in blocks):
        return _text(blocks)
    return [{"type": "text", "text": b["text"]} if b["type"] == "text" else _picture(b["source"]) for b in blocks]


def _picture(source: Mapping[str, str]) -> dict[str, Json]:
    inline = source["type"] == "base64"
    url = f"data:{source['media_type']};base64,{source['data']}" if inline else source["url"]
    return {"type": "image_url", "image_url": {"url": url}}


def _assistant(content: str | Sequence[Any]) -> Iterator[dict[str, Json]]:
    """What the assistant said and called; nothing where it did neither."""
    blocks: Sequence[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = _text(block for block in blocks if block["type"] == "text")
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    if calls:
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif text:
        yield {"role": "assistant", "content": text}


def _call(block: Mapping[str, Any]) -> dict[str, Json]:
    arguments = json.dumps(block["input"], ensure_ascii=False)
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}
