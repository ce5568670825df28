"""`POST /v1/responses` as the published document tells it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from coterie.gateway.chat.operation import Account, CompletionTokens, Token
from coterie.gateway.chat.request import MAX_MESSAGES
from coterie.gateway.operation import (
    ASKING,
    CLOSED,
    JSON,
    ON_ANSWERS,
    OPEN,
    READING,
    TRACING,
    ErrorDetails,
    Operation,
    Said,
)
from coterie.gateway.responses.request import ResponsesRequest
from coterie.gateway.responses.tools import FunctionTool

# ---- what is sent -----------------------------------------------------------------------------


class InputPart(TypedDict):
    """A text or a picture; of an assistant's own turns, what it said or refused."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Literal["input_text", "input_image", "output_text", "refusal"]


class InputMessage(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: NotRequired[Literal["message"]]
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputPart]


class FunctionCall(TypedDict):
    """A function that the assistant called on an earlier turn."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(TypedDict):
    """What a function gave, after the call of it."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[InputPart]


class ReasoningItem(TypedDict):
    """Another server's reasoning, which nobody here can read: it is left out with a warning."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Literal["reasoning"]


class NamedFunction(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Literal["function"]
    name: str


InputItem = InputMessage | FunctionCall | FunctionCallOutput | ReasoningItem


class CreateResponse(ResponsesRequest):
    """One request. `store`, `previous_response_id` and what else would need a memory is refused or left out."""

    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
    tools: list[FunctionTool] | None = None  # type: ignore[assignment]
    tool_choice: Literal["none", "auto", "required"] | NamedFunction | None = None


# ---- what is answered -------------------------------------------------------------------------


class OutputText(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Token]


class OutputRefusal(TypedDict):
    """What a member that answers alone said instead of an answer."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["refusal"]
    refusal: str


class OutputMessage(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText | OutputRefusal]


class OutputCall(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    type: Literal["function_call"]
    status: Literal["in_progress", "completed", "incomplete"]
    call_id: str
    name: str
    arguments: str


class InputTokens(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    cached_tokens: int
    cache_write_tokens: int


class ResponseUsage(TypedDict):
    """Tokens of all calls together, as far as endpoints reported them."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: CompletionTokens
    total_tokens: int


class FailedResponse(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    code: Literal["invalid_prompt", "rate_limit_exceeded", "server_error"]
    message: str


class CutShort(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseDocument(TypedDict):
    """A response. What was asked for is repeated in it."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    completed_at: int | None
    error: FailedResponse | None
    incomplete_details: CutShort | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage | OutputCall]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: dict[str, Any]
    store: Literal[False]
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    user: str | None
    coterie: NotRequired[Account]
    """There once it has ended."""


class ResponseEvent(TypedDict):
    """An event that says where the whole response stands, the last one how it ended."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal[
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    sequence_number: int
    response: ResponseDocument


class ItemEvent(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["response.output_item.added", "response.output_item.done"]
    sequence_number: int
    output_index: int
    item: OutputMessage | OutputCall


class PartEvent(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["response.content_part.added", "response.content_part.done"]
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | OutputRefusal


class TextEvent(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["response.output_text.delta", "response.output_text.done"]
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    logprobs: list[Token]
    delta: NotRequired[str]
    text: NotRequired[str]


class RefusalEvent(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["response.refusal.delta", "response.refusal.done"]
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: NotRequired[str]
    refusal: NotRequired[str]


class ArgumentsEvent(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["response.function_call_arguments.delta", "response.function_call_arguments.done"]
    sequence_number: int
    item_id: str
    output_index: int
    name: NotRequired[str]
    delta: NotRequired[str]
    arguments: NotRequired[str]


class ErrorEvent(TypedDict):
    """After `response.failed`."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    type: Literal["error"]
    sequence_number: int
    code: str | None
    message: str
    param: str | None
    error: ErrorDetails


OPERATION = Operation(
    "post",
    "/v1/responses",
    "createResponse",
    "Answer a conversation (OpenAI's Responses, without a memory).",
    {
        200: Said(
            "The response: whole, or with `stream: true` as numbered events, of which the last says how it ended.",
            {JSON: ResponseDocument},
            ON_ANSWERS,
            (ResponseEvent, ItemEvent, PartEvent, TextEvent, RefusalEvent, ArgumentsEvent, ErrorEvent),
        )
    },
    READING | ASKING,
    CreateResponse,
    TRACING,
    {
        "whole": {"model": "coterie/default", "input": "What is the capital of France?"},
        "streamed": {
            "model": "coterie/default",
            "instructions": "Answer in one word.",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is the capital of France?"}]}],
            "stream": True,
        },
    },
    tag="responses",
)
