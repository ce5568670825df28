"""What a client asks of the Responses API, read strictly, and the chat completion that it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from coterie.gateway.chat.request import ChatRequest, Wishes
from coterie.gateway.misfit import check_finite
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses import input as responses_input
from coterie.gateway.responses import tools as responses_tools
from coterie.gateway.responses.misfit import misfit
from coterie.types import Json

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED_REASONING = "reasoning.encrypted_content"

_STATELESS = "nothing is stored here: send the whole conversation as input"

REFUSED: Mapping[str, str] = {
    "previous_response_id": _STATELESS,
    "conversation": _STATELESS,
    "prompt": "no prompt templates are stored here: send instructions and input",
    "background": "a response is answered at once, or streamed",
    "context_management": "nothing is compacted here",
    "moderation": "nothing is moderated here",
    "n": "one request makes one response",
}
"""What cannot be left out without answering another question than was asked."""

CHATS: Mapping[str, str] = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
}
"""Fields of Chat Completions, and what they are called here."""

_OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Format(BaseModel):
    """`text.format`."""

    model_config = _OPEN

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None
    description: str | None = None


class Text(BaseModel):
    model_config = _OPEN

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(BaseModel):
    model_config = _OPEN

    effort: str | None = None


class StreamOptions(BaseModel):
    model_config = _OPEN

    include_obfuscation: bool | None = None


class ResponsesRequest(BaseModel):
    """One request. Fields that are not named here are kept as they came."""

    model_config = _OPEN

    model: Annotated[str, Field(min_length=1, max_length=400)]
    input: Any
    """A string, or a list of items."""
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    """A string, or a function that is named."""
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    """Of built-in tools, of which there are none."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[str] | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    truncation: str | None = None
    coterie: Wishes | None = None

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The fields that change nothing here, though they ask for something."""
        of_reasoning = (self.reasoning.model_extra if self.reasoning else None) or {}
        named = [f"reasoning.{name}" for name, wish in of_reasoning.items() if wish]
        if self.store:
            named.append("store")
        if ENCRYPTED_REASONING in (self.include or ()):
            named.append(f"include: {ENCRYPTED_REASONING}")
        if self.stream_options is not None and self.stream_options.include_obfuscation:
            named.append("stream_options.include_obfuscation")
        if responses_input.has_reasoning(self.input):
            named.append("input items of the type reasoning")
        return tuple(named)


def read(body: bytes) -> tuple[ResponsesRequest, ChatRequest]:
    """The request in `body`, and the chat completion that it comes to. Raises `Refusal` that names the first field
    that does not fit, without quoting it."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {error}", code="invalid_json") from None
    if not isinstance(document, dict):
        raise Refusal(400, "the body must be a JSON object", code="invalid_value")
    _check_names(document)
    try:
        asked = ResponsesRequest.model_validate(document)
    except ValidationError as error:
        raise misfit(error) from None
    check_finite(asked)
    _check(asked)
    return asked, _chat(asked)


def _check_names(document: Mapping[str, Json]) -> None:
    """Raises `Refusal` for fields that mean something elsewhere and nothing, or something else, here."""
    for name, value in document.items():
        if name in REFUSED and value is not None and value is not False:
            raise Refusal(400, f"{name} is not served: {REFUSED[name]}", code="unsupported_parameter", param=name)
        if name in CHATS:
            said = f"{name} belongs to Chat Completions; here it is called {CHATS[name]}"
            raise Refusal(400, said, code="unknown_parameter", param=CHATS[name])


def _check(asked: ResponsesRequest) -> None:
    """Raises `Refusal` for values that are not served, and for fields that do not go together."""
    if asked.truncation not in (None, "disabled"):
        raise _unsupported("truncation", "nothing of the input is left out here; leave it at disabled")
    for name in asked.include or ():
        if name not in (LOGPROBS, ENCRYPTED_REASONING):
            raise _unsupported("include", f"{name[:80]!r} is not there to be included; {LOGPROBS!r} is")
    if asked.top_logprobs and not asked.wants_logprobs:
        raise Refusal(400, f"top_logprobs needs include: [{LOGPROBS!r}]", code="invalid_value", param="top_logprobs")
    if asked.stream_options is not None and not asked.stream:
        raise Refusal(400, "stream_options is for streams: set stream to true", param="stream_options")
    if asked.coterie is not None and asked.coterie.strict and asked.warnings:
        first = asked.warnings[0]
        raise Refusal(400, f"nothing here takes {first}", code="unsupported_parameter", param=first.partition(":")[0])


def _unsupported(param: str, why: str) -> Refusal:
    return Refusal(400, f"{param} cannot be as asked: {why}", code="unsupported_parameter", param=param)


# ---- the same as a chat completion ------------------------------------------------------------

_AS_THEY_ARE = ("model", "stream", "temperature", "top_p", "user", "coterie")


def _chat(asked: ResponsesRequest) -> ChatRequest:
    """Raises `Refusal`.

    `max_output_tokens` becomes `max_tokens`, which every endpoint knows: one that ignored the newer name would write,
    and bill, without a bound.
    """
    fields: dict[str, Any] = {name: getattr(asked, name) for name in _AS_THEY_ARE}
    fields |= {
        **(asked.model_extra or {}),
        "messages": responses_input.messages(asked.input, asked.instructions),
        "max_tokens": asked.max_output_tokens,
        "response_format": _response_format(asked.text),
        "verbosity": asked.text.verbosity if asked.text else None,
        "reasoning_effort": asked.reasoning.effort if asked.reasoning else None,
        "logprobs": True if asked.wants_logprobs else None,
        "top_logprobs": asked.top_logprobs if asked.wants_logprobs else None,
        **responses_tools.fields(asked.tools or (), asked.tool_choice, asked.parallel_tool_calls),
    }
    try:
        return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise misfit(error) from None


def _response_format(text: Text | None) -> dict[str, Json] | None:
    """Raises `Refusal` for a JSON Schema that is missing."""
    wanted = text.format if text else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema_}
    for name, value in schema.items():
        if value is None:
            said = f"text.format of type json_schema needs {name}"
            raise Refusal(400, said, code="missing_parameter", param=f"text.format.{name}")
    more = {"strict": wanted.strict, "description": wanted.description}
    return {"type": "json_schema", "json_schema": schema | {k: v for k, v in more.items() if v is not None}}
