"""The items of a Responses input as messages of Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from coterie.gateway.chat.request import MAX_MESSAGES
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses.misfit import misfit, path
from coterie.types import Json

_OPEN = ConfigDict(strict=True, extra="allow")

Where = tuple[str | int, ...]
"""The steps to a value from the request's top."""


class MessageItem(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["user", "assistant", "system", "developer"]
    content: Any


class CallItem(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    call_id: str
    name: str
    arguments: str


class OutputItem(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    call_id: str
    output: Any


class TextPart(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    text: str


class RefusalPart(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    refusal: str


class ImagePart(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    image_url: str
    detail: NotRequired[str | None]


_MESSAGE, _CALL, _OUTPUT = TypeAdapter(MessageItem), TypeAdapter(CallItem), TypeAdapter(OutputItem)
_TEXT, _REFUSAL, _IMAGE = TypeAdapter(TextPart), TypeAdapter(RefusalPart), TypeAdapter(ImagePart)

_ANSWERS = frozenset({"id", "type", "status", "phase"})
"""Fields that an item has from the answer it stood in, and that no endpoint needs to know."""

_ANSWERS_PART = frozenset({"type", "annotations", "logprobs", "parsed"})

_WHY_NOT: Mapping[str, str] = {
    "item_reference": "nothing is stored here that it could refer to: send the item itself",
    "input_file": "files are not read here: send their text",
    "input_audio": "sound is not heard here: send its words",
}


def has_reasoning(given: Json) -> bool:
    """True where a client sends another server's reasoning back, which nobody here can read."""
    return isinstance(given, list) and any(isinstance(item, dict) and item.get("type") == "reasoning" for item in given)


def messages(given: Json, instructions: str | None) -> list[dict[str, Json]]:
    """The conversation, `instructions` as its first turn. Raises `Refusal`."""
    turns = _Turns()
    if instructions:
        turns.said.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        turns.said.append({"role": "user", "content": given})
        return turns.said
    if not isinstance(given, list) or not given:
        raise _invalid(("input",), "must be a text or a list of items, and not empty")
    if len(given) > MAX_MESSAGES:
        raise _invalid(("input",), f"has more than {MAX_MESSAGES} items")
    for n, item in enumerate(given):
        turns.take(item, ("input", n))
    return turns.said


class _Turns:
    """The conversation while its items are read."""

    def __init__(self) -> None:
        self.said: list[dict[str, Json]] = []
        self._called: set[str] = set()

    def take(self, item: Json, where: Where) -> None:
        if not isinstance(item, dict):
            raise _invalid(where, "must be an object")
        match item.get("type", "message"):
            case "message":
                self.said.append(_message(_fit(_MESSAGE, item, where), where))
            case "function_call":
                self._call(_fit(_CALL, item, where))
            case "function_call_output":
                self._output(_fit(_OUTPUT, item, where), where)
            case "reasoning":
                pass  # see `has_reasoning`
            case kind:
                raise _unserved("items", kind, (*where, "type"), "messages, function_call and function_call_output")

    def _call(self, item: Mapping[str, Any]) -> None:
        """Calls stand in the assistant's turn that made them: several in a row, and words before them, are one."""
        if not self.said or self.said[-1]["role"] != "assistant":
            self.said.append({"role": "assistant", "content": None})
        function = {"name": item["name"], "arguments": item["arguments"]}
        calls = self.said[-1].setdefault("tool_calls", [])
        calls.append({"id": item["call_id"], "type": "function", "function": function})
        self._called.add(item["call_id"])

    def _output(self, item: Mapping[str, Any], where: Where) -> None:
        if item["call_id"] not in self._called:
            said = "no function_call before it has this call_id; nothing is stored here, so send the call as well"
            raise _invalid((*where, "call_id"), said)
        output = _content(item["output"], (*where, "output"), images=False)
        self.said.append({"role": "tool", "tool_call_id": item["call_id"], "content": output})


def _message(item: Mapping[str, Any], where: Where) -> dict[str, Json]:
    kept = {name: value for name, value in item.items() if name not in _ANSWERS and value is not None}
    place = (*where, "content")
    if item["role"] == "assistant":
        return {**kept, "content": _words(item["content"], place)}
    return {**kept, "content": _content(item["content"], place, images=True)}


def _words(content: Json, where: Where) -> str:
    """What the assistant said, refusals too: many endpoints take its turns as plain text alone."""
    said = ""
    for place, part in _parts(content, where):
        match part.get("type"):
            case "output_text" | "input_text":
                said += _fit(_TEXT, part, place)["text"]
            case "refusal":
                said += _fit(_REFUSAL, part, place)["refusal"]
            case kind:
                raise _unserved("an assistant's parts", kind, (*place, "type"), "output_text and refusal")
    return said


def _content(content: Json, where: Where, *, images: bool) -> str | list[dict[str, Json]]:
    """Plain text where it is one text, else the parts."""
    parts = [_part(part, place, images) for place, part in _parts(content, where)]
    if not parts:
        return ""
    return parts[0]["text"] if [set(part) for part in parts] == [{"type", "text"}] else parts


def _parts(content: Json, where: Where) -> list[tuple[Where, dict[str, Json]]]:
    if isinstance(content, str):
        return [(where, {"type": "input_text", "text": content})]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _invalid(where, "must be a text or a list of parts")
    return [((*where, n), part) for n, part in enumerate(content)]


def _part(part: Mapping[str, Json], where: Where, images: bool) -> dict[str, Json]:
    match part.get("type"):
        case "input_text":
            return _text(part, where)
        case "input_image" if images:
            return _image(part, where)
        case kind:
            served = "input_text and input_image" if images else "input_text"
            raise _unserved("parts", kind, (*where, "type"), served)


def _text(part: Mapping[str, Json], where: Where) -> dict[str, Json]:
    kept = {name: value for name, value in _fit(_TEXT, part, where).items() if name not in _ANSWERS_PART}
    return {"type": "text", **kept}


def _image(part: Mapping[str, Json], where: Where) -> dict[str, Json]:
    if part.get("file_id") is not None:
        raise _invalid((*where, "file_id"), "no files are stored here: send image_url, with the picture in it")
    image = _fit(_IMAGE, part, where)
    detail = {"detail": image["detail"]} if image.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": image["image_url"], **detail}}


# ---- what does not fit ------------------------------------------------------------------------


def _fit(adapter: TypeAdapter[Any], value: Json, where: Where) -> Mapping[str, Any]:
    try:
        fitting: Mapping[str, Any] = adapter.validate_python(value)
    except ValidationError as error:
        raise misfit(error, *where) from None
    return fitting


def _invalid(where: Where, said: str) -> Refusal:
    return Refusal(400, f"{path(*where)} {said}", code="invalid_value", param=path(*where))


def _unserved(what: str, kind: Json, where: Where, served: str) -> Refusal:
    shown = kind[:80] if isinstance(kind, str) else "none"
    why = _WHY_NOT.get(shown, f"{served} can stand here")
    said = f"{what} of the type {shown!r} are not served: {why}"
    return Refusal(400, said, code="unsupported_parameter", param=path(*where))
