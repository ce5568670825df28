"""What a finished trace is as spans: names, times and attributes, without OpenTelemetry itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from coterie import registry
from coterie.config import EmbeddingEndpoint
from coterie.gateway.embeddings.trace import STAGE as EMBEDDING
from coterie.protocols import MemberSpec
from coterie.trace import AnswerGiven, Call, CallRetried, CallStarted, Trace, WorkDone
from coterie.types import Completion, Failure, Message, Request, Scores, Usage

PROVIDERS: Mapping[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""Whose API stands behind a host, as the conventions name it; any other speaks OpenAI's."""

Endpoint = MemberSpec | EmbeddingEndpoint
"""Whoever is called."""

_NOWHERE: Mapping[str, Any] = {"gen_ai.provider.name": "_OTHER"}
"""Of a member that is not there any more."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Planned:
    """A span to be made. Times are seconds since the run began."""

    name: str
    start_s: float
    end_s: float
    attributes: Mapping[str, Any]
    remote: bool = False
    error: str = ""
    """A kind of error, never its words: those may quote anything."""
    events: tuple[tuple[str, float, Mapping[str, Any]], ...] = ()


def of_run(trace: Trace) -> Planned:
    """The whole run: a workflow, in the conventions' terms."""
    started, finished = trace.started, trace.finished
    given = next(trace.of(AnswerGiven), None)
    total = trace.bill.total
    attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.agent.name": started.method,
        "coterie.run.id": started.run,
        "coterie.calls": total.calls,
        **_known({"coterie.cost_usd": total.cost_usd}),
        **_tokens(total),
    }
    if given is not None:
        attributes |= {"coterie.how": given.how, "coterie.partial": given.partial}
    status = finished.status if finished else "error"
    error = "" if status == "answered" else status
    return Planned(f"invoke_workflow {started.method}", 0.0, trace.wall_s, attributes, error=error)


def stages(trace: Trace) -> Iterator[Planned]:
    """One for each stage: from the first thing in it to the last."""
    times: dict[str, list[float]] = {}
    for call in trace.calls.values():
        times.setdefault(call.stage, []).extend((call.asked_s, call.end_s))
    for done in trace.of(WorkDone):
        times.setdefault(done.stage, []).extend((done.t_s - done.took_s, done.t_s))
    for stage, at in times.items():
        yield Planned(stage, min(at), max(at), {"coterie.stage": stage})


def works(trace: Trace) -> Iterator[tuple[str, Planned]]:
    """What parts did themselves, each with its stage."""
    for done in trace.of(WorkDone):
        yield done.stage, Planned(f"{done.stage} {done.actor}", done.t_s - done.took_s, done.t_s, {})


class Calls:
    """Tells of calls: whom they went to, what was asked, what came back."""

    def __init__(self, endpoints: Mapping[str, Endpoint], contents: bool = False) -> None:
        self._places = {name: place(spec) for name, spec in endpoints.items()}
        self._contents = contents

    def of(self, trace: Trace) -> Iterator[tuple[str, Planned]]:
        """The calls of a run, each with its stage."""
        models = {card.name: card.model or card.name for card in trace.started.cards}
        starts = {event.call: event for event in trace.of(CallStarted)}
        retries: dict[str, list[CallRetried]] = {}
        for event in trace.of(CallRetried):
            retries.setdefault(event.call, []).append(event)
        for call in trace.calls.values():
            request = starts[call.id].request or trace.started.request
            model = models.get(call.member, call.member)
            yield call.stage, self._call(call, model, request, retries.get(call.id, ()))

    def _call(self, call: Call, model: str, request: Request, retries: Sequence[CallRetried]) -> Planned:
        place = self._places.get(call.member, _NOWHERE)
        attributes = {
            "gen_ai.operation.name": _operation(call),
            **place,
            "gen_ai.request.model": model,
            "coterie.member": call.member,
            "coterie.stage": call.stage,
            **_asked(request),
            **_came_back(call),
        }
        if self._contents and call.stage != EMBEDDING:
            attributes |= _contents(call, request)
        name = f"{attributes['gen_ai.operation.name']} {model}"
        told = tuple(("retry", one.t_s, {"attempt": one.attempt, "wait_s": one.wait_s}) for one in retries)
        return Planned(name, call.start_s, call.end_s, attributes, "server.address" in place, _error(call), told)


def _operation(call: Call) -> str:
    if call.stage == EMBEDDING:
        return "embeddings"
    return "score" if isinstance(call.outcome, Scores) else "chat"


def place(spec: Endpoint) -> Mapping[str, Any]:
    """Where a member is asked, and in which provider's manner. Nothing of an address but host and port is told."""
    url = urlsplit(getattr(spec, "base_url", ""))
    if not url.hostname:
        return {"gen_ai.provider.name": registry.name_of("members", spec)}
    told: dict[str, Any] = {"gen_ai.provider.name": _provider(url.hostname), "server.address": url.hostname}
    told |= _known({"server.port": url.port or _PORTS.get(url.scheme)})
    if getattr(spec, "api", "chat") == "completions":
        told["gen_ai.operation.name"] = "text_completion"
    return told


def _provider(host: str) -> str:
    return "azure.ai.openai" if host.endswith(".openai.azure.com") else PROVIDERS.get(host, "openai")


def _asked(request: Request) -> Mapping[str, Any]:
    sampling = request.sampling
    return _known(
        {
            "gen_ai.request.temperature": sampling.temperature,
            "gen_ai.request.top_p": sampling.top_p,
            "gen_ai.request.max_tokens": sampling.max_tokens,
            "gen_ai.request.seed": sampling.seed,
        }
    )


def _came_back(call: Call) -> Mapping[str, Any]:
    outcome = call.outcome
    told: dict[str, Any] = {"coterie.cached": True} if call.cached else {}
    if call.retries:
        told["coterie.retries"] = call.retries
    if call.start_s > call.asked_s:
        told["coterie.waited_s"] = call.start_s - call.asked_s
    if outcome is None:
        return told
    told |= _tokens(outcome.usage) | _known({"coterie.cost_usd": outcome.usage.cost_usd})
    if isinstance(outcome, Completion) and call.stage != EMBEDDING:
        told["gen_ai.response.finish_reasons"] = (outcome.finish_reason[:64],)
        told |= _known({"gen_ai.response.time_to_first_chunk": outcome.first_piece_s})
    return told


def _tokens(usage: Usage) -> dict[str, Any]:
    if not usage.calls:
        return {}
    more = {"cache_read.input_tokens": usage.cached_tokens, "reasoning.output_tokens": usage.reasoning_tokens}
    told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    told |= {name: count for name, count in more.items() if count}
    return _known({f"gen_ai.usage.{name}": count for name, count in told.items()})


def _error(call: Call) -> str:
    match call.outcome:
        case Failure(status=int() as status):
            return str(status)
        case Failure(kind=kind):
            return kind.value
        case None:
            return "_OTHER"
        case _:
            return ""


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is unknown is left out, and never a number."""
    return {name: value for name, value in values.items() if value is not None}


# ---- contents, where they are asked for -------------------------------------------------------


def _contents(call: Call, request: Request) -> Mapping[str, str]:
    told = {"gen_ai.input.messages": json.dumps([_message(message) for message in request.messages])}
    if isinstance(call.outcome, Completion):
        reason = call.outcome.finish_reason[:64]
        written = {"role": "assistant", "parts": [_text(call.outcome.text)], "finish_reason": reason}
        told["gen_ai.output.messages"] = json.dumps([written])
    return told


def _message(message: Message) -> Mapping[str, Any]:
    return {"role": message.role, "parts": [_text(message.text)]}


def _text(text: str) -> Mapping[str, str]:
    return {"type": "text", "content": text}
