"""Answers as documents of the Responses API."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from coterie.answer import Answer
from coterie.gateway.bodies import sound
from coterie.gateway.chat import completions
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses.request import ResponsesRequest
from coterie.types import Json

Status = Literal["in_progress", "completed", "incomplete", "failed"]

_CUT_SHORT: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by its `finish_reason`."""

_CODES: Mapping[int, str] = {
    400: "invalid_prompt",
    413: "invalid_prompt",
    422: "invalid_prompt",
    429: "rate_limit_exceeded",
}
"""OpenAI's codes of failed responses, by the status that the refusal would have had; any other is `server_error`."""


@dataclass(frozen=True)
class Documents:
    """The documents that one response goes through. All have one time, and the ids that its run gives them."""

    asked: ResponsesRequest
    created_at: int = field(default_factory=lambda: int(time.time()))

    def begun(self, run: str) -> dict[str, Json]:
        """The response before anybody was asked."""
        return self._document(run, "in_progress")

    def ended(self, answer: Answer, items: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
        """The response that `answer` is: complete, or cut short where its text was."""
        why = _CUT_SHORT.get(completions.finish_reason(answer))
        return self._document(
            answer.id,
            "incomplete" if why else "completed",
            completed_at=None if why else int(time.time()),
            incomplete_details={"reason": why} if why else None,
            output=items,
            usage=usage(answer),
            coterie=completions.account([answer]),
        )

    def failed(self, run: str, refusal: Refusal) -> dict[str, Json]:
        """The response that came to nothing. Whatever was said of it does not hold."""
        error = {"code": _CODES.get(refusal.status, "server_error"), "message": refusal.message}
        return self._document(run, "failed", error=error)

    def _document(self, run: str, status: Status, **more: Json) -> dict[str, Json]:
        """What was asked for is repeated in it, as the convention has it; what nobody here knows is null."""
        asked, text, reasoning = self.asked, self.asked.text, self.asked.reasoning
        given = text.format.model_dump(by_alias=True, exclude_unset=True) if text and text.format else {"type": "text"}
        return {
            "id": response_id(run),
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "metadata": asked.metadata or {},
            "model": asked.model,
            "output": [],
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": None},
            "store": False,
            "temperature": asked.temperature,
            "text": {"format": given, "verbosity": text.verbosity if text else None},
            "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [],
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": asked.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": asked.user,
            **more,
        }


def response_id(run: str) -> str:
    return f"resp_{_bare(run)}"


def message_id(run: str) -> str:
    return f"msg_{_bare(run)}"


def _bare(run: str) -> str:
    return run.removeprefix("run-")


def output(answer: Answer, *, spoken: bool = False) -> list[dict[str, Json]]:
    """The items of `answer`: its text or refusal, where it has any or calls nothing, and the functions that it calls.

    `spoken` is true where a message was begun already, which then stands there whatever came of it.
    """
    calls = completions.tool_calls(answer)
    status = "incomplete" if completions.finish_reason(answer) in _CUT_SHORT else "completed"
    items = [_call(answer.id, n, call, status) for n, call in enumerate(calls)]
    if answer.text or answer.candidate.refusal or spoken or not calls:
        items.insert(0, _message(answer, status, spoken))
    return items


def _message(answer: Answer, status: str, spoken: bool) -> dict[str, Json]:
    refusal = completions.refusal(answer)
    parts = [refusal_part(refusal)] if refusal else []
    if answer.text or spoken or not refusal:
        probabilities = completions.logprobs(answer)
        parts.insert(0, text_part(sound(answer.text), probabilities["content"] if probabilities else ()))
    return message(answer.id, status, parts)


def message(run: str, status: str, parts: Sequence[Json]) -> dict[str, Json]:
    return {"id": message_id(run), "type": "message", "role": "assistant", "status": status, "content": parts}


def text_part(text: str, logprobs: Sequence[Json] = ()) -> dict[str, Json]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def refusal_part(refusal: str) -> dict[str, Json]:
    return {"type": "refusal", "refusal": refusal}


def _call(run: str, n: int, call: Mapping[str, Json], status: str) -> dict[str, Json]:
    function = call.get("function") or {}
    return {
        "id": f"fc_{_bare(run)}_{n}",
        "type": "function_call",
        "status": status,
        "call_id": call["id"],
        "name": sound(function.get("name") or ""),
        "arguments": sound(function.get("arguments") or ""),
    }


def usage(answer: Answer) -> dict[str, Json] | None:
    """Tokens of all calls together, as far as endpoints reported them; ``None`` where none did."""
    spent = completions.usage([answer])
    if spent is None:
        return None
    cached: Json = spent["prompt_tokens_details"]
    return {
        "input_tokens": spent["prompt_tokens"],
        "input_tokens_details": {**cached, "cache_write_tokens": 0},  # which Chat Completions has no field for
        "output_tokens": spent["completion_tokens"],
        "output_tokens_details": spent["completion_tokens_details"],
        "total_tokens": spent["total_tokens"],
    }
