"""What a client asks of Chat Completions, read strictly: every field that is known has its type."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from coterie.gateway.misfit import check_finite, misfit
from coterie.gateway.refusal import Refusal

MAX_MESSAGES = 10_000
MOST_CHOICES = 16
"""Answers to one request: each is a run of its own, so this bounds what one request can set off."""

_OPEN = ConfigDict(strict=True, extra="allow")


class TextPart(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    url: str
    detail: NotRequired[str]


class ImagePart(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["image_url"]
    image_url: ImageUrl


class OtherPart(TypedDict):
    """Sound, files and refusals: passed through to members that take them."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["input_audio", "file", "refusal"]


Part = Annotated[TextPart | ImagePart | OtherPart, Field(discriminator="type")]


class CalledFunction(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    arguments: str


class ToolCall(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    id: str
    type: Literal["function", "custom"]
    function: NotRequired[CalledFunction]


class ChatMessage(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NotRequired[str | list[Part] | None]
    name: NotRequired[str | None]
    tool_calls: NotRequired[list[ToolCall] | None]
    tool_call_id: NotRequired[str | None]
    refusal: NotRequired[str | None]


class Function(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    description: NotRequired[str]
    parameters: NotRequired[dict[str, JsonValue]]


class Tool(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: str
    function: NotRequired[Function]


class NamedSchema(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    schema: NotRequired[dict[str, JsonValue]]


class ResponseFormat(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NotRequired[NamedSchema]


class StreamOptions(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    include_usage: NotRequired[bool]


class Wishes(BaseModel):
    """`extra_body.coterie`: what a client wants of us beyond OpenAI's convention."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    method: dict[str, JsonValue] = {}
    """Settings of the method, instead of the configured ones. Those it has stand in `GET /v1/models/{id}`."""
    limits: dict[str, JsonValue] = {}
    """Limits of this request; they can only be tighter than the configured ones."""
    conversation: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The conversation's id, for methods with a policy."""
    strict: bool = False
    """Refuse what would be left out with a warning."""
    stream: Literal["live", "settled"] = "live"
    """`settled` streams an answer once it is certain, so that none is ever withdrawn."""


NO_WISHES = Wishes()


class ChatRequest(BaseModel):
    """One request. Fields that are not named here are kept as they came."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=400)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: str | None = None
    metadata: dict[str, JsonValue] | None = None
    coterie: Wishes | None = None

    @property
    def wishes(self) -> Wishes:
        return self.coterie or NO_WISHES

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.get("include_usage", False)

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


_READER = TypeAdapter(ChatRequest)


def read(body: bytes) -> ChatRequest:
    """The request in `body`. Raises `Refusal` that names the first field that does not fit, without quoting it."""
    try:
        asked = _READER.validate_json(body)
    except ValidationError as error:
        raise misfit(error, _TYPES) from None
    check_finite(asked)
    _check(asked)
    return asked


def _check(asked: ChatRequest) -> None:
    """Raises `Refusal` for fields that do not go together."""
    if asked.stream_options is not None and not asked.stream:
        raise Refusal(400, "stream_options is for streams: set stream to true", param="stream_options")
    if asked.top_logprobs is not None and not asked.logprobs:
        raise Refusal(400, "top_logprobs needs logprobs: set it to true", param="top_logprobs")
    if asked.max_tokens is not None and asked.max_completion_tokens is not None:
        raise Refusal(400, "max_tokens and max_completion_tokens exclude each other", param="max_tokens")
    if "" in asked.stops:
        raise Refusal(
            400, "an empty stop string ends every answer before it begins", param="stop", code="invalid_value"
        )
    wanted = asked.response_format
    if wanted is not None and wanted["type"] == "json_schema" and "json_schema" not in wanted:
        raise Refusal(400, "response_format of type json_schema needs json_schema", param="response_format.json_schema")
    for n, message in enumerate(asked.messages):
        if message.get("content") is None and not any(map(message.get, _INSTEAD)):
            raise Refusal(400, "a message needs content, or the tools that it calls", param=f"messages[{n}].content")


_INSTEAD = ("tool_calls", "refusal", "function_call")
"""What an assistant's turn may hold in place of content."""

_TYPES = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
"""Of a message's parts."""
