"""`POST /v1/chat/completions` as the published document tells it."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.operation import (
    ASKING,
    CLOSED,
    JSON,
    ON_ANSWERS,
    READING,
    TRACING,
    ErrorBody,
    Operation,
    Said,
)

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class TopToken(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    token: str
    logprob: float
    bytes: list[int]


class Token(TopToken):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    top_logprobs: list[TopToken]


class Logprobs(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    content: list[Token]
    refusal: None


class AnswerMessage(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    role: Literal["assistant"]
    content: str | None
    """Null where tools are called, or the answer is refused, and nothing is said."""
    refusal: str | None
    """What a member that answers alone said instead of an answer."""
    tool_calls: NotRequired[list[dict[str, Any]]]
    """As the endpoint gave them, each with an id."""
    function_call: NotRequired[dict[str, Any]]
    """In their place, where `functions` were sent."""
    reasoning_content: NotRequired[Any]
    reasoning: NotRequired[Any]
    annotations: NotRequired[Any]
    """As the endpoint that wrote the answer gave them."""


class Choice(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class PromptTokens(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    cached_tokens: int


class CompletionTokens(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    reasoning_tokens: int


class TokenUsage(TypedDict):
    """Tokens of all calls together, as far as endpoints reported them."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


class MemberAccount(TypedDict):
    """What one member's calls took; null is unknown."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None


class FailedCall(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    member: str
    kind: str
    stage: str


class Account(TypedDict):
    """How the answer came about and what it cost."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    run_id: str
    run_ids: list[str]
    """One for each of several answers to one request."""
    method: str
    how: str
    author: str
    """The member whose words the answer is."""
    partial: bool
    calls: int
    cost_usd: float | None
    """Null when a part is unknown."""
    known_cost_usd: float
    tokens_known: bool
    members: dict[str, MemberAccount]
    failures: list[FailedCall]
    finish_reasons: NotRequired[list[str]]
    """Why the answer ended, in the endpoint's words, where the interface has none for it."""


class ChatCompletion(TypedDict):
    """A whole answer."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage | None
    coterie: Account


class Delta(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[list[dict[str, Any]]]
    """Whole, each with its index."""
    function_call: NotRequired[dict[str, Any]]
    reasoning_content: NotRequired[Any]
    reasoning: NotRequired[Any]
    annotations: NotRequired[Any]


class ChunkChoice(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    index: int
    delta: Delta
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(TypedDict):
    """A piece of a streamed answer."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    """Empty in the chunk with the usage."""
    usage: NotRequired[TokenUsage | None]
    """There with `stream_options.include_usage`, and null but in the last chunk."""
    coterie: NotRequired[Account]


OPERATION = Operation(
    "post",
    "/v1/chat/completions",
    "createChatCompletion",
    "Answer a conversation (OpenAI's Chat Completions).",
    {
        200: Said(
            "The answer: whole, or with `stream: true` as events, `data: [DONE]` last. A failure after the headers is "
            "an event with `error`, and no `[DONE]` follows it. Comments (`: ping`) say that somebody is at work.",
            {JSON: ChatCompletion},
            ON_ANSWERS,
            (ChatCompletionChunk, ErrorBody),
            "[DONE]",
        )
    },
    READING | ASKING,
    ChatRequest,
    TRACING,
    {
        "whole": {
            "model": "coterie/default",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
        },
        "streamed": {
            "model": "coterie/default",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "with wishes": {
            "model": "coterie/default",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "coterie": {"limits": {"deadline_s": 20, "max_usd": 0.01}, "strict": True},
        },
    },
    tag="chat",
)
