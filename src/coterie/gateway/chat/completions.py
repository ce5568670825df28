"""Answers as documents and chunks of Chat Completions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from coterie.answer import Answer
from coterie.gateway.bodies import sound, sound_json
from coterie.trace import CallFinished
from coterie.types import Completion, Json, TokenLogprob, Usage

_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def whole(answers: Sequence[Answer], model: str) -> dict[str, Json]:
    """The document of one answer, or of several to one request."""
    return {
        "id": completion_id(answers[0].id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [_choice(n, answer) for n, answer in enumerate(answers)],
        "usage": usage(answers),
        "coterie": account(answers),
    }


def completion_id(run: str) -> str:
    return f"chatcmpl-{run.removeprefix('run-')}"


def written_by(answer: Answer) -> Completion | None:
    """The call that wrote the answer; ``None`` where a part of ours wrote it."""
    calls = answer.trace.of(CallFinished)
    return next((event.completion for event in calls if event.completion.call == answer.candidate.call), None)


def _choice(n: int, answer: Answer) -> dict[str, Json]:
    text, others = sound(answer.text), _called(answer)
    said = refusal(answer)
    message: dict[str, Json] = {
        "role": "assistant",
        "content": text if text or not (others or said) else None,
        "refusal": said or None,
        **others,
        **beside(answer),
    }
    return {"index": n, "message": message, "logprobs": logprobs(answer), "finish_reason": finish_reason(answer)}


def refusal(answer: Answer) -> str:
    """What was said instead of an answer; empty where one was given."""
    return sound(answer.candidate.refusal)


def beside(answer: Answer) -> dict[str, Json]:
    """What whoever wrote the answer said beside it, in the endpoint's own form: reasoning, annotations."""
    completion = written_by(answer)
    return {} if completion is None else sound_json(completion.beside)


def _called(answer: Answer) -> dict[str, Json]:
    """The message's field for the tools that are called; none where none is."""
    calls = tool_calls(answer)
    if calls and finish_reason(answer) == "function_call":
        return {"function_call": calls[0].get("function")}
    return {"tool_calls": calls} if calls else {}


def finish_reason(answer: Answer) -> str:
    """Why it ended, in one of the words that the interface has; `account` has the endpoint's own."""
    said = _reason(answer)
    if said == "function_call" and "functions" not in answer.trace.started.request.sampling.extra:
        return "tool_calls"  # some endpoints answer in the old form whatever they were sent
    return said if said in _REASONS else "tool_calls" if answer.candidate.tool_calls else "stop"


def _reason(answer: Answer) -> str:
    completion = written_by(answer)
    return completion.finish_reason if completion else "stop"


def tool_calls(answer: Answer) -> list[dict[str, Json]]:
    """The tools that the answer calls, each with an id: some endpoints give none, and clients refer to it."""
    calls: list[dict[str, Json]] = sound_json(list(answer.candidate.tool_calls))
    return [{**call, "id": call.get("id") or f"call_{uuid4().hex[:24]}"} for call in calls]


def logprobs(answer: Answer) -> dict[str, Json] | None:
    completion = written_by(answer)
    if completion is None or completion.logprobs is None:
        return None
    return {"content": [_token(said) for said in completion.logprobs], "refusal": None}


def _token(said: TokenLogprob) -> dict[str, Json]:
    octets = said.top_octets or [None] * len(said.top)
    top = [_named(token, p, raw) for (token, p), raw in zip(said.top, octets, strict=True)]
    return _named(said.token, said.logprob, said.octets) | {"top_logprobs": top}


def _named(token: str, logprob: float, octets: Sequence[int] | None) -> dict[str, Json]:
    """The spelling's bytes are the token's only where it is whole characters."""
    return {
        "token": sound(token),
        "logprob": logprob,
        "bytes": list(sound(token).encode() if octets is None else octets),
    }


# ---- what it took -----------------------------------------------------------------------------


def usage(answers: Sequence[Answer]) -> dict[str, Json] | None:
    """Tokens of all calls together, as far as endpoints reported them; ``None`` where none did.

    Clients count on numbers here, so a call that reported nothing counts as nothing, and `account` names it.
    """
    known = [spent for spent in _by_call(answers) if spent.input_tokens is not None or spent.output_tokens is not None]
    if not known:
        return None
    prompt = sum(spent.input_tokens or 0 for spent in known)
    completion = sum(spent.output_tokens or 0 for spent in known)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(spent.cached_tokens for spent in known)},
        "completion_tokens_details": {"reasoning_tokens": sum(spent.reasoning_tokens for spent in known)},
    }


def _by_call(answers: Iterable[Answer]) -> Iterable[Usage]:
    for answer in answers:
        for call in answer.trace.calls.values():
            if call.outcome is not None:
                yield call.outcome.usage


def account(answers: Sequence[Answer]) -> dict[str, Json]:
    """How the answer came about and what it cost, by member. An unknown cost is null, its known part beside it."""
    first = answers[0]
    members: dict[str, Usage] = {}
    for answer in answers:
        for name, spent in answer.trace.bill.members.items():
            members[name] = members[name] + spent if name in members else spent
    return {
        "run_id": first.id,
        "run_ids": [answer.id for answer in answers],
        "method": first.method,
        "how": first.how,
        "author": first.candidate.author,
        "partial": any(answer.partial for answer in answers),
        "calls": sum(answer.usage.calls for answer in answers),
        "cost_usd": cost_usd(answers),
        "known_cost_usd": sum(answer.trace.bill.known_usd for answer in answers),
        "tokens_known": all(
            spent.input_tokens is not None and spent.output_tokens is not None for spent in members.values()
        ),
        "members": {name: _spent(spent) for name, spent in members.items()},
        "failures": [
            {"member": failure.member, "kind": failure.kind.value, "stage": failure.stage}
            for answer in answers
            for failure in answer.failures
        ],
        **_unknown_reasons(answers),
    }


def _unknown_reasons(answers: Sequence[Answer]) -> dict[str, Json]:
    """Why answers ended, in endpoints' words that no interface has."""
    unknown = {sound(_reason(answer)[:100]) for answer in answers} - _REASONS
    return {"finish_reasons": sorted(unknown)} if unknown else {}


def _spent(spent: Usage) -> dict[str, Json]:
    return {
        "calls": spent.calls,
        "prompt_tokens": spent.input_tokens,
        "completion_tokens": spent.output_tokens,
        "cached_tokens": spent.cached_tokens,
        "reasoning_tokens": spent.reasoning_tokens,
        "cost_usd": spent.cost_usd,
    }


def cost_usd(answers: Iterable[Answer]) -> float | None:
    """USD of all calls; ``None`` when one of them is unknown."""
    return Usage.sum(answer.usage for answer in answers).cost_usd


# ---- chunks -----------------------------------------------------------------------------------


@dataclass
class Chunks:
    """The chunks of one streamed completion: one id and one time for all of them, however many answers it has."""

    model: str
    include_usage: bool
    choices: int = 1
    id: str = ""
    """Of the run that began first."""
    created: int = field(default_factory=lambda: int(time.time()))
    answers: list[Answer] = field(default_factory=list)
    """Those that have ended."""

    @property
    def ended(self) -> bool:
        return len(self.answers) == self.choices

    def opening(self, index: int, run: str) -> dict[str, Json]:
        self.id = self.id or completion_id(run)
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def text(self, index: int, piece: str) -> dict[str, Json]:
        return self._chunk(index, {"content": piece})

    def closing(self, index: int, answer: Answer) -> Iterable[dict[str, Json]]:
        """What comes after the last word: what was said beside it or instead of it, tools, probabilities, the reason to
        end, and after the last answer the usage of all, where it was asked for."""
        if others := beside(answer):
            yield self._chunk(index, others)
        if said := refusal(answer):
            yield self._chunk(index, {"refusal": said})
        if called := _called(answer):
            if "tool_calls" in called:
                called = {"tool_calls": [{"index": n, **call} for n, call in enumerate(called["tool_calls"])]}
            yield self._chunk(index, called)
        if (probabilities := logprobs(answer)) is not None:
            yield self._chunk(index, {}, logprobs=probabilities)
        yield self._chunk(index, {}, finish_reason=finish_reason(answer))
        self.answers.append(answer)
        if self.ended and self.include_usage:
            yield {**self._envelope([]), "usage": usage(self.answers), "coterie": account(self.answers)}

    def _chunk(
        self, index: int, delta: Mapping[str, Json], *, finish_reason: str | None = None, logprobs: Json = None
    ) -> dict[str, Json]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return self._envelope([choice])

    def _envelope(self, choices: list[dict[str, Json]]) -> dict[str, Json]:
        envelope: dict[str, Json] = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return {**envelope, "usage": None} if self.include_usage else envelope
