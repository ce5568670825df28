"""Replay: a recorded run again, perhaps with another judge, rule or fuser, without asking any member.

The members of a replay answer from the trace: the same request gets what it got then, failures
included. A part that asks something new gets a failure, as it would from a member that is away, so a
changed method falls back openly instead of inventing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from coterie.answer import Answer
from coterie.committee import TraceSink, conduct
from coterie.errors import ConfigError, MemberError
from coterie.house import House
from coterie.protocols import Emit, Method
from coterie.ranked import RankGiven
from coterie.run import Alone, LiveRun, PlannedThread, Seat, Thread
from coterie.specs import build, describe, settable
from coterie.trace import CallStarted, CandidateOffered, ProspectsGiven, Trace, TurnPlanned
from coterie.types import Card, Completion, Failure, FailureKind, Json, Request, Scores, Usage

_Key = tuple[str, tuple[str, ...] | None]
Outcome = Completion | Scores | Failure

RANK_GIVEN = f"{RankGiven.__module__}:{RankGiven.__qualname__}"


async def areplay(trace: Trace, changes: Mapping[str, Json] | None = None, on_trace: TraceSink | None = None) -> Answer:
    """The answer that the trace's method, with `changes` to its settings, makes of what was recorded.

    No member is called, so its usage is nothing. Raises `NoAnswer` where the recorded run had none,
    `ConfigError` for changes that do not fit the method.
    """
    started = trace.started
    spec = _changed(started.spec, changes or {})
    method: Method = _method(spec, trace)
    seats = {card.name: Seat(card, _Recorded(card, trace), retries=0) for card in started.cards}
    limits = replace(started.limits, deadline_s=3600.0, max_calls=None, max_tokens=None, max_usd=None)
    async with House() as house:
        run = LiveRun(
            started.request,
            seats,
            limits,
            seed=started.seed,
            house=house,
            method=(started.method, spec),
        )
        run.thread, run.settles = _thread(trace, changes or {}), False
        if given := next(trace.of(ProspectsGiven), None):
            run.routing.foretold = given.prospects
        answer = await conduct(run, method, started.method, on_trace)
    return replace(answer, usage=Usage(), replayed=True)


def replay(trace: Trace, changes: Mapping[str, Json] | None = None, on_trace: TraceSink | None = None) -> Answer:
    """See `areplay`; for where no event loop runs."""
    return asyncio.run(areplay(trace, changes, on_trace))


def _thread(trace: Trace, changes: Mapping[str, Json]) -> Thread:
    """The turn as it was planned then; under another policy a first one, since nothing is known of those before it."""
    planned = next(trace.of(TurnPlanned), None)
    if planned is None or "policy" in changes:
        return Alone()
    return PlannedThread(planned.plan, planned.conversation, planned.turn, planned.survivors)


def _method(spec: Mapping[str, Json], trace: Trace) -> Method:
    """The method that a specification describes; one that ranked given texts gets them from the trace."""
    if spec["kind"] != RANK_GIVEN:
        method: Method = build("methods", spec, ("method",))
        return method
    given = tuple(event.candidate for event in trace.of(CandidateOffered))
    return RankGiven(build("judges", spec["judge"], ("method", "judge")), spec["rule"], given, tuple(spec["authors"]))


def _changed(spec: Mapping[str, Json], changes: Mapping[str, Json]) -> Mapping[str, Json]:
    """The settings with `changes`; a method that has no such setting is taken as the composition it stands for."""
    if spec["kind"] == RANK_GIVEN:
        if odd := set(changes) - {"judge", "rule"}:
            raise ConfigError(
                f"given texts were ranked in this run: a judge or a rule can be changed, not {sorted(odd)!r}"
            )
        return {**spec, **changes}
    method = build("methods", spec, ("method",))
    own = {name for name, _ in settable(type(method))}
    if set(changes) <= own:
        return {**spec, **changes}
    judge, fuser = getattr(method, "judge", None), getattr(method, "fuser", None)
    general: dict[str, Json] = {"kind": "rank_and_fuse", "members": spec["members"], "top_k": spec.get("top_k", 1)}
    general["rule"] = spec.get("rule", "mean")
    if judge is not None:
        general["judge"] = describe("judges", judge)
    if fuser is not None:
        general["fuser"] = describe("fusers", fuser)
    return {**general, **changes}


class _Recorded:
    """A member that says again what it said in a trace."""

    def __init__(self, card: Card, trace: Trace) -> None:
        self.card = card
        self._own = trace.started.request
        self._outcomes: defaultdict[_Key, deque[Outcome]] = defaultdict(deque)
        self._failed = ""
        """How it failed first: afterwards it was not asked again, so what it was not asked is no gap in the trace."""
        for started in trace.of(CallStarted):
            outcome = trace.calls[started.call].outcome
            if started.member != card.name or outcome is None:
                continue
            self._outcomes[self._key(started.request or self._own, started.texts)].append(outcome)
            if isinstance(outcome, Failure) and outcome.kind is not FailureKind.CUT:
                self._failed = self._failed or outcome.error

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        await asyncio.sleep(0)  # as then, calls made side by side are all under way before one of them fails
        outcome = self._next(self._key(request, None))
        assert isinstance(outcome, Completion)  # noqa: S101 - a call without texts ended in a completion
        if emit is not None:
            emit(outcome.text)
        return outcome

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        await asyncio.sleep(0)
        outcome = self._next(self._key(request, tuple(texts)))
        assert isinstance(outcome, Scores)  # noqa: S101 - a call with texts ended in scores
        return outcome

    async def first_fitting(self, requests: Sequence[Request], texts: Sequence[str] = ()) -> int:
        """The place of the one that was sent then; see `coterie.run.window.Reader`."""
        asked = ((place, self._key(request, tuple(texts) or None)) for place, request in enumerate(requests))
        return next((place for place, key in asked if key in self._outcomes), 0)

    def _next(self, key: _Key) -> Completion | Scores:
        recorded = self._outcomes.get(key)
        if not recorded and self._failed:
            raise MemberError(f"not asked again after: {self._failed}", FailureKind.EXCLUDED, usage=Usage())
        if not recorded:
            raise MemberError("not in the trace: a replay asks no member", FailureKind.UNRECORDED, usage=Usage())
        outcome = recorded.popleft() if len(recorded) > 1 else recorded[0]
        if isinstance(outcome, Failure):
            raise MemberError(outcome.error, outcome.kind, usage=Usage())
        return outcome

    @staticmethod
    def _key(request: Request, texts: tuple[str, ...] | None) -> _Key:
        return request.fingerprint, texts
