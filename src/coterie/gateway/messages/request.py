"""What a client asks of Anthropic's Messages, read strictly: every field that is known has its type."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from coterie.gateway.chat.request import MAX_MESSAGES, Wishes
from coterie.gateway.misfit import check_finite, misfit

_OPEN = ConfigDict(strict=True, extra="allow")


class TextBlock(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["text"]
    text: str


class Base64Source(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["url"]
    url: str


class ImageBlock(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class ToolUseBlock(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, JsonValue]


class ToolResultBlock(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["tool_result"]
    tool_use_id: str
    content: NotRequired[str | list[TextBlock] | None]
    is_error: NotRequired[bool | None]


class ThinkingBlock(TypedDict):
    """What a model thought on an earlier turn. Only who wrote it can read it again."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["thinking", "redacted_thinking"]


UserBlock = Annotated[TextBlock | ImageBlock | ToolResultBlock, Field(discriminator="type")]
AssistantBlock = Annotated[TextBlock | ToolUseBlock | ThinkingBlock, Field(discriminator="type")]
Block = TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock


class UserTurn(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["user"]
    content: str | list[UserBlock]


class AssistantTurn(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["assistant"]
    content: str | list[AssistantBlock]


class SystemTurn(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["system"]
    content: str | list[TextBlock]


Turn = Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]


class Tool(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    type: NotRequired[str | None]
    description: NotRequired[str]
    input_schema: NotRequired[dict[str, JsonValue]]
    strict: NotRequired[bool]


class ToolChoice(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["auto", "any", "tool", "none"]
    name: NotRequired[str]
    disable_parallel_tool_use: NotRequired[bool]


class Thinking(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: str


class SchemaFormat(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["json_schema"]
    schema: dict[str, JsonValue]


class OutputConfig(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    format: NotRequired[SchemaFormat | None]


class MessagesRequest(BaseModel):
    """One request. Fields that are not named here are kept as they came."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=400)]
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: str | list[TextBlock] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    metadata: dict[str, JsonValue] | None = None
    cache_control: dict[str, JsonValue] | None = None
    coterie: Wishes | None = None

    @property
    def wishes(self) -> Wishes:
        return self.coterie or Wishes()


_READER = TypeAdapter(MessagesRequest)

_TAGS = frozenset({"user", "assistant", "system", "text", "image", "tool_use", "tool_result", "base64", "url"})
_TAGS |= {"thinking", "redacted_thinking"}


def read(body: bytes) -> MessagesRequest:
    """The request in `body`. Raises `Refusal` that names a field that does not fit."""
    try:
        asked = _READER.validate_json(body)
    except ValidationError as error:
        raise misfit(error, _TAGS) from None
    check_finite(asked)
    return asked
