"""The generator's role: how members are told to write, before anybody reviews it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coterie.errors import ConfigError
from coterie.types import Message, Request

STYLES: Mapping[str, str] = {
    "plain": "",
    "comprehensive": "Answer the following fully and accurately.",
    "concise": "Answer the following accurately, and in as few words as it takes.",
}
"""What is said before the last question: nothing; what the thesis' template asks for ("Efficient Blending", 5.1.3);
what its text asks for (4.4.2, 5.1.2), where the aggregator expands the answer afterwards."""


def instruction(style: str) -> str:
    """What a style stands for; a text of one's own stands for itself. Raises `ConfigError` for any other word."""
    if style in STYLES:
        return STYLES[style]
    if len(style.split()) < 2:
        raise ConfigError(f"there is no style {style!r}: it is one of {', '.join(STYLES)}, or an instruction in words")
    return style


def as_generator(request: Request, style: str) -> Request:
    """`request` with the instruction before the words of the last user turn; as it is where the style says nothing."""
    said = instruction(style)
    last = next((n for n in reversed(range(len(request.messages))) if request.messages[n].role == "user"), None)
    if not said or last is None:
        return request
    messages = list(request.messages)
    messages[last] = _after(said, messages[last])
    return replace(request, messages=tuple(messages))


def _after(said: str, message: Message) -> Message:
    if isinstance(message.content, str):
        return replace(message, content=f"{said}\n\n{message.content}")
    return replace(message, content=({"type": "text", "text": f"{said}\n\n"}, *message.content))
