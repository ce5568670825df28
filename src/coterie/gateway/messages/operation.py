"""`POST /v1/messages` as the published document tells it."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from coterie.gateway.chat.operation import Account
from coterie.gateway.messages.request import MessagesRequest
from coterie.gateway.operation import (
    ASKING,
    CLOSED,
    JSON,
    ON_ANSWERS,
    READING,
    TRACING,
    Operation,
    Parameter,
    Said,
)


class ErrorCode(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    error_code: str


class MessageErrorDetails(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "timeout_error",
        "request_too_large",
        "rate_limit_error",
        "api_error",
        "overloaded_error",
    ]
    message: str
    details: NotRequired[ErrorCode]


class MessageError(TypedDict):
    """A refusal in Anthropic's form."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["error"]
    error: MessageErrorDetails
    request_id: str


class MessageErrorEvent(TypedDict):
    """A failure in mid-stream."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["error"]
    error: MessageErrorDetails


class SaidBlock(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["text"]
    text: str


class UsedBlock(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ThinkingTokens(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    thinking_tokens: int


class MessageUsage(TypedDict):
    """Tokens of all calls together, as far as endpoints reported them; those from a cache are counted apart."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: NotRequired[int]
    cache_read_input_tokens: NotRequired[int]
    output_tokens_details: NotRequired[ThinkingTokens]


StopReason = Literal["end_turn", "max_tokens", "tool_use", "refusal"]


class MessageDocument(TypedDict):
    """A whole answer."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[SaidBlock | UsedBlock]
    stop_reason: StopReason | None
    """Null in the beginning of a stream."""
    stop_sequence: None
    usage: MessageUsage
    coterie: NotRequired[Account]


class MessageStart(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["message_start"]
    message: MessageDocument


class BlockStart(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["content_block_start"]
    index: int
    content_block: SaidBlock | UsedBlock


class TextDelta(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["text_delta"]
    text: str


class InputDelta(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["input_json_delta"]
    partial_json: str


class BlockDelta(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["content_block_delta"]
    index: int
    delta: TextDelta | InputDelta


class BlockStop(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["content_block_stop"]
    index: int


class Ending(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    stop_reason: StopReason
    stop_sequence: None


class MessageDelta(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["message_delta"]
    delta: Ending
    usage: MessageUsage
    coterie: Account


class MessageStop(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["message_stop"]


OPERATION = Operation(
    "post",
    "/v1/messages",
    "createMessage",
    "Answer a conversation (Anthropic's Messages).",
    {
        200: Said(
            "The message: whole, or with `stream: true` as events, `message_stop` or `error` last.",
            {JSON: MessageDocument},
            ON_ANSWERS,
            (MessageStart, BlockStart, BlockDelta, BlockStop, MessageDelta, MessageStop, MessageErrorEvent),
        )
    },
    READING | ASKING,
    MessagesRequest,
    (*TRACING, Parameter("anthropic-version", "header", "Anthropic's clients send it; any value is taken.")),
    {
        "whole": {
            "model": "coterie/default",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
        },
        "streamed": {
            "model": "coterie/default",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}],
            "stream": True,
        },
    },
    MessageError,
    tag="messages",
)
