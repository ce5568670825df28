"""Answers as messages of Anthropic's form: content blocks, why they end, and what they took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from coterie.answer import Answer
from coterie.gateway.bodies import sound
from coterie.gateway.chat import completions
from coterie.gateway.refusal import Refusal
from coterie.types import Json

_STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def message_id(run: str) -> str:
    return f"msg_{run.removeprefix('run-')}"


def message(id_: str, model: str) -> dict[str, Json]:
    """A message of which nothing is known yet."""
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        **ending(None),
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def whole(answer: Answer, model: str) -> dict[str, Json]:
    """The message that `answer` is. Raises `Refusal` where it calls a tool with what is no JSON object."""
    text = sound(answer.text) + completions.refusal(answer)
    content: list[dict[str, Json]] = [{"type": "text", "text": text}] if text else []
    return {
        **message(message_id(answer.id), model),
        "content": [*content, *tools_used(answer)],
        **ending(answer),
        "usage": usage(answer),
        "coterie": completions.account([answer]),
    }


def tools_used(answer: Answer) -> Iterator[dict[str, Json]]:
    """The tools that the answer calls. Raises `Refusal`.

    A call that `max_tokens` cut short is left out, which `stop_reason` says; any other that cannot be read is the
    endpoint's mistake, and a client given half of it would act on it.
    """
    for call in completions.tool_calls(answer):
        function = call.get("function") or {}
        wanted = _object(function.get("arguments") or "{}")
        if wanted is not None and function.get("name"):
            yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": wanted}
        elif completions.finish_reason(answer) != "length":
            said = "a tool was called with what is no JSON object"
            raise Refusal(502, said, code="invalid_answer", spent=True)


def _object(arguments: Any) -> dict[str, Json] | None:
    try:
        value = from_json(arguments, allow_inf_nan=False)
    except (TypeError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def ending(answer: Answer | None) -> dict[str, Json]:
    """Why the message ends. Which stop sequence ended it, endpoints of chat do not say, nor whether one did."""
    if answer is None:
        return {"stop_reason": None, "stop_sequence": None}
    if answer.candidate.refusal:
        return {"stop_reason": "refusal", "stop_sequence": None}
    reason = _STOP_REASONS[completions.finish_reason(answer)]
    if reason == "end_turn" and answer.candidate.tool_calls:  # some endpoints say "stop" there
        reason = "tool_use"
    return {"stop_reason": reason, "stop_sequence": None}


def usage(answer: Answer) -> dict[str, Json]:
    """Tokens of all calls together, as far as endpoints reported them: the convention has no word for unknown ones.

    Anthropic counts what came from a cache beside `input_tokens`, and not within.
    """
    known = completions.usage([answer])
    if known is None:
        return {"input_tokens": 0, "output_tokens": 0}
    cached = known["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": max(0, known["prompt_tokens"] - cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": known["completion_tokens"],
        "output_tokens_details": {"thinking_tokens": known["completion_tokens_details"]["reasoning_tokens"]},
    }
