"""What a client asks, as a request to the committee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coterie.committee import says_something
from coterie.config import Config
from coterie.gateway import abilities, overrides
from coterie.gateway.catalog import Model
from coterie.gateway.chat.request import ChatMessage, ChatRequest
from coterie.gateway.refusal import Refusal
from coterie.protocols import Method
from coterie.types import Json, Limits, Message, Place, Request, Sampling, encodable

_OURS = frozenset({"model", "messages", "stream", "stream_options", "coterie", "n", "max_tokens", "temperature"})
_OURS |= {"top_p", "seed", "stop", "logprobs", "top_logprobs"}
"""Fields that a `Request` has a place for, or that are for us; every other is passed on."""

_TOOLS: tuple[str, ...] = ("tools", "tool_choice", "parallel_tool_calls")

_NOBODYS = frozenset({"user", "metadata", "store", "prompt_cache_key", "safety_identifier", "service_tier"})
"""Fields that change no answer: leaving them out needs no warning."""


@dataclass(frozen=True)
class Order:
    """One request to the committee."""

    model: Model
    method: Method
    request: Request
    limits: Limits
    place: Place
    seed: int | None = None
    choices: int = 1
    settled: bool = False
    """True where an answer is streamed only once it is certain."""
    json: bool = False
    """True where the answer must be JSON."""
    warnings: tuple[str, ...] = ()

    @property
    def how(self) -> dict[str, Any]:
        """What `Committee.aask` and `astream` are told."""
        return {"part": self.method, "limits": self.limits, "seed": self.seed, "conversation": self.place}


def order(asked: ChatRequest, model: Model, config: Config, scope: str = "") -> Order:
    """The order that `asked` is. Raises `Refusal` for what `model` cannot do."""
    messages = tuple(_message(n, message) for n, message in enumerate(asked.messages))
    wishes = asked.wishes
    method = overrides.changed(model.method, wishes.method)
    limits = overrides.tightened(config.limits, wishes.limits)
    abilities.check(asked, model, method, config.members)
    through = model.one_writes and all(abilities.passes_on(config.members[name]) for name in method.asks)
    extra, left_out = _passed_on(asked, through)
    if left_out and wishes.strict:
        said = f"{model.id} cannot take {', '.join(left_out)}"
        raise Refusal(400, said, code="unsupported_parameter", param=left_out[0])
    if not any(map(says_something, messages)):
        raise Refusal(400, "the messages are empty", code="invalid_value", param="messages")
    wanted: Mapping[str, Any] = asked.response_format or {}
    return Order(
        model,
        method,
        Request(messages, _sampling(asked, extra), schema=None if through else _schema(wanted)),
        limits,
        Place(wishes.conversation, scope),
        asked.seed,
        asked.n or 1,
        wishes.stream == "settled",
        wanted.get("type", "text") != "text",
        tuple(f"ignored: {name}" for name in left_out),
    )


def _message(n: int, message: ChatMessage) -> Message:
    content = message.get("content") or ""
    if isinstance(content, str) and not encodable(content):
        raise Refusal(400, f"messages[{n}] holds half a character", code="invalid_value", param=f"messages[{n}]")
    extra = {key: value for key, value in message.items() if key not in ("role", "content")}
    return Message(message["role"], content if isinstance(content, str) else tuple(content), extra)


def _passed_on(asked: ChatRequest, through: bool) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """What goes to the endpoints as it came, and what is left out.

    Where one member writes whose endpoint takes anything, that is everything. Other methods compose prompts of
    their own, in which a parameter nobody here knows has no meaning; tools were checked before.
    """
    fields = {name: getattr(asked, name) for name in asked.model_fields_set if name not in _OURS}
    every: dict[str, Json] = {**fields, **(asked.model_extra or {})}
    given = {name: value for name, value in every.items() if value is not None}
    if through:
        return given, ()
    tools: dict[str, Json] = {}
    if given.get("tools"):  # what is said of tools means nothing without them
        tools = {name: given.pop(name) for name in _TOOLS if name in given}
    for read in ("response_format", "max_completion_tokens", *_NOBODYS):
        given.pop(read, None)
    return tools, tuple(sorted(given))


def _sampling(asked: ChatRequest, extra: Mapping[str, Json]) -> Sampling:
    most = asked.max_tokens or asked.max_completion_tokens
    top = (asked.top_logprobs or 0) if asked.logprobs else None
    return Sampling(asked.temperature, asked.top_p, most, asked.seed, asked.stops, top, extra)


def _schema(wanted: Mapping[str, Any]) -> Mapping[str, Json] | None:
    """The JSON Schema that a response format stands for."""
    match wanted.get("type"):
        case "json_schema":
            return wanted["json_schema"].get("schema") or {}
        case "json_object":
            return {"type": "object"}
        case _:
            return None
