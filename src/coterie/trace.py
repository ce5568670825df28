"""The trace: typed events of one run, enough to replay it, draw it and bill it.

Events carry times in seconds since the run began and the ids of what they needed, so that the
critical path can be computed from what depended on what, and not guessed from what happened to
come after what. A trace holds prompts and answers (saving one is the user's choice) and no secrets.

What it does not know: time spent outside calls. Wall time over the critical path shows it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from coterie.errors import TraceError
from coterie.prospects import Choice, Prospects
from coterie.signals import Signals, observe
from coterie.turns import Plan
from coterie.types import (
    BallotMode,
    Candidate,
    Card,
    Completion,
    Failure,
    How,
    Json,
    Judgement,
    Limits,
    Ranking,
    Request,
    Scores,
    Usage,
)

FORMAT = 1
"""Version of the file format, in the first line of every file."""

Status = Literal["answered", "no_answer", "cancelled", "error"]


@dataclass(frozen=True)
class RunStarted:
    t_s: float
    run: str
    """The run's id, which the answer carries too."""
    method: str
    spec: Mapping[str, Json]
    """The method as configured: what a replay rebuilds."""
    request: Request
    cards: tuple[Card, ...]
    limits: Limits
    seed: int
    started_at: str
    """UTC, ISO 8601."""
    version: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class CallStarted:
    t_s: float
    call: str
    member: str
    stage: str
    needs: tuple[str, ...] = ()
    request: Request | None = None
    """``None`` for the run's own request."""
    texts: tuple[str, ...] | None = None
    """The texts to score; ``None`` when the member was asked to write."""


@dataclass(frozen=True)
class CallRetried:
    t_s: float
    call: str
    attempt: int
    error: str
    wait_s: float


@dataclass(frozen=True)
class CallFinished:
    t_s: float
    call: str
    completion: Completion
    cached: bool = False


@dataclass(frozen=True)
class CallScored:
    t_s: float
    call: str
    scores: Scores
    cached: bool = False


@dataclass(frozen=True)
class CallFailed:
    t_s: float
    call: str
    failure: Failure


@dataclass(frozen=True)
class WorkDone:
    """Something a part did itself (a ranker's forwards, a fuser's decoding) and others waited for."""

    t_s: float
    work: str
    actor: str
    stage: str
    took_s: float
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CandidateOffered:
    t_s: float
    candidate: Candidate


@dataclass(frozen=True)
class JudgementMade:
    t_s: float
    id: str
    judgement: Judgement


@dataclass(frozen=True)
class RankingMade:
    t_s: float
    id: str
    ranking: Ranking
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TurnPlanned:
    """What a policy planned for this turn of its conversation: what a replay goes by."""

    t_s: float
    plan: Plan
    conversation: int
    """Which conversation it is since the policy was set up."""
    turn: int
    survivors: tuple[str, ...] = ()
    """Who was not eliminated by then, in pool order."""


@dataclass(frozen=True)
class ProspectsGiven:
    """What a router expected of members, before any of them was asked."""

    t_s: float
    prospects: Prospects
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChoiceMade:
    """Who was to be asked, and why."""

    t_s: float
    choice: Choice


@dataclass(frozen=True)
class Noted:
    t_s: float
    text: str


@dataclass(frozen=True)
class AnswerGiven:
    t_s: float
    candidate: str
    how: How
    partial: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFinished:
    t_s: float
    status: Status
    usage: Usage = field(default_factory=Usage)
    error: str = ""


Event = (
    RunStarted
    | CallStarted
    | CallRetried
    | CallFinished
    | CallScored
    | CallFailed
    | WorkDone
    | CandidateOffered
    | JudgementMade
    | RankingMade
    | TurnPlanned
    | ProspectsGiven
    | ChoiceMade
    | Noted
    | AnswerGiven
    | RunFinished
)

KINDS: Mapping[str, type[Event]] = {
    "run_started": RunStarted,
    "call_started": CallStarted,
    "call_retried": CallRetried,
    "call_finished": CallFinished,
    "call_scored": CallScored,
    "call_failed": CallFailed,
    "work_done": WorkDone,
    "candidate_offered": CandidateOffered,
    "judgement_made": JudgementMade,
    "ranking_made": RankingMade,
    "turn_planned": TurnPlanned,
    "prospects_given": ProspectsGiven,
    "choice_made": ChoiceMade,
    "noted": Noted,
    "answer_given": AnswerGiven,
    "run_finished": RunFinished,
}
_NAMES = {cls: name for name, cls in KINDS.items()}

E = TypeVar("E")


@dataclass(frozen=True)
class Call:
    """One call, put together from its events."""

    id: str
    member: str
    stage: str
    needs: tuple[str, ...]
    asked_s: float
    """When the method asked; until `start_s` the call waited for one of the member's slots."""
    start_s: float
    end_s: float
    outcome: Completion | Scores | Failure | None
    """``None`` for a call that the trace does not see end."""
    retries: int = 0
    cached: bool = False

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class CriticalPath:
    """The longest chain of calls, and of work that parts did themselves, that the answer had to wait for."""

    calls: tuple[str, ...] = ()
    """Their ids, first to last."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Bill:
    """What a run consumed, by member. A total with an unknown part is unknown; `known_usd` is its known part."""

    members: Mapping[str, Usage]
    total: Usage
    known_usd: float
    unpriced: tuple[str, ...]
    """Members whose cost is unknown."""


@dataclass(frozen=True)
class Trace:
    """The events of one run, in the order in which they happened."""

    events: tuple[Event, ...]

    def of(self, kind: type[E]) -> Iterator[E]:
        """The events of one kind."""
        return iter(self._by_kind.get(kind, ()))  # type: ignore[arg-type]

    @cached_property
    def _by_kind(self) -> Mapping[type[Event], Sequence[Event]]:
        """The events sorted once: who reads a trace asks for many kinds."""
        kinds: dict[type[Event], list[Event]] = {}
        for event in self.events:
            kinds.setdefault(type(event), []).append(event)
        return kinds

    @property
    def started(self) -> RunStarted:
        first = next(self.of(RunStarted), None)
        if first is None:
            raise TraceError("the trace has no 'run_started' event, so it is not a whole run")
        return first

    @property
    def finished(self) -> RunFinished | None:
        return next(self.of(RunFinished), None)

    @property
    def wall_s(self) -> float:
        return self.events[-1].t_s if self.events else 0.0

    @cached_property
    def calls(self) -> Mapping[str, Call]:
        """Every call by id, in the order in which they were asked for."""
        ends: dict[str, CallFinished | CallScored | CallFailed] = {e.call: e for e in self.of(CallFinished)}
        ends |= {e.call: e for e in self.of(CallScored)} | {e.call: e for e in self.of(CallFailed)}
        retries: dict[str, int] = {}
        for event in self.of(CallRetried):
            retries[event.call] = retries.get(event.call, 0) + 1
        return {
            start.call: _call(start, ends.get(start.call), retries.get(start.call, 0), self.wall_s)
            for start in self.of(CallStarted)
        }

    @cached_property
    def critical_path(self) -> CriticalPath:
        """The longest chain of calls on which the answer (or, without one, the last event) depends."""
        return self.longest({call.id: call.duration_s for call in self.calls.values()})

    def longest(self, took: Mapping[str, float]) -> CriticalPath:
        """The critical path, had the calls taken `took` seconds; work of parts took as long as it did."""
        needs = self._needs()
        took = {**took, **{done.work: done.took_s for done in self.of(WorkDone)}}
        answer = next(self.of(AnswerGiven), None)
        ends = (answer.candidate, *answer.needs) if answer else tuple(self.calls)
        seconds: dict[str, float] = {}
        before: dict[str, str | None] = {}
        for node in _by_dependency(ends, needs):
            slowest = max((n for n in needs.get(node, ()) if n in seconds), key=seconds.__getitem__, default=None)
            before[node] = slowest
            seconds[node] = (seconds[slowest] if slowest else 0.0) + took.get(node, 0.0)
        last = max(ends, key=seconds.__getitem__, default=None)
        path: list[str] = []
        at = last
        while at is not None:
            path += [at] if at in took else []
            at = before[at]
        return CriticalPath(tuple(reversed(path)), seconds[last] if last else 0.0)

    @cached_property
    def bill(self) -> Bill:
        """Usage by member, failed calls included."""
        members: dict[str, Usage] = {}
        for call in self.calls.values():
            spent = call.outcome.usage if call.outcome is not None else Usage(1, None, None, None)
            before = members.get(call.member)
            members[call.member] = spent if before is None else before + spent
        total = Usage.sum(members.values())
        unpriced = tuple(name for name, usage in members.items() if usage.cost_usd is None)
        known = sum(call.outcome.usage.cost_usd or 0.0 for call in self.calls.values() if call.outcome is not None)
        return Bill(members, total, known, unpriced)

    @cached_property
    def signals(self) -> Mapping[str, Signals]:
        """What the ballots behind each ranking tell of themselves, by the ranking's id; one judge's tell nothing.

        Computed from the events when it is asked for: with many reviewers it takes longer than ranking does.
        """
        candidates = {event.candidate.id: event.candidate for event in self.of(CandidateOffered)}
        made = {event.id: event.judgement for event in self.of(JudgementMade)}
        cards = {card.name: card for card in self.started.cards}
        found: dict[str, Signals] = {}
        for event in self.of(RankingMade):
            ballots = [made[need] for need in event.needs if need in made]
            if len({ballot.judge for ballot in ballots if ballot.about}) > 1:
                over = [candidates[need] for need in event.needs if need in candidates]
                found[event.id] = observe(ballots, event.ranking, over, cards, self._modes(ballots))
        return found

    def _modes(self, ballots: Iterable[Judgement]) -> dict[str, BallotMode]:
        """How each reviewer was asked, as far as the order it saw answers in depends on that."""
        started = {event.call: event for event in self.of(CallStarted)}
        modes: dict[str, BallotMode] = {}
        for ballot in ballots:
            if ballot.calls:
                call = started[ballot.calls[0]]
                listwise = call.texts is None and len(set(call.needs) & set(ballot.about)) > 1
                modes[ballot.judge] = BallotMode.TEXT if listwise else BallotMode.POINTWISE
        return modes

    def _needs(self) -> dict[str, tuple[str, ...]]:
        """What each node (call, work, candidate, judgement, ranking) directly depends on."""
        needs: dict[str, tuple[str, ...]] = {call.id: call.needs for call in self.calls.values()}
        needs |= {done.work: done.needs for done in self.of(WorkDone)}
        for offered in self.of(CandidateOffered):
            made_by = (offered.candidate.call,) if offered.candidate.call else ()
            needs[offered.candidate.id] = (*offered.candidate.parents, *made_by)
        for made in self.of(JudgementMade):
            needs[made.id] = made.judgement.calls
        for ranked in self.of(RankingMade):
            needs[ranked.id] = ranked.needs
        return needs

    # ---- files --------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """One JSON object an event."""
        return map(_line, self.events)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON Lines to `path`: afterwards the file is whole, or what it was before."""
        target = Path(path)
        handle, temporary = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self.lines())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """The trace in a file that `save` wrote. Raises `TraceError` naming the line that cannot be read."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TraceError(f"cannot read the trace {str(path)!r}: {error}") from error
        return cls.parse(text.split("\n"), str(path))

    @classmethod
    def parse(cls, lines: Iterable[str], name: str = "trace") -> Trace:
        """The trace in JSON Lines. Raises `TraceError` naming the line that cannot be read."""
        events = tuple(_event(line, f"{name}:{n}") for n, line in enumerate(lines, 1) if line.strip())
        if not events or not isinstance(events[0], RunStarted):
            raise TraceError(f"{name!r} does not begin with a 'run_started' event: is it a trace of this program?")
        if events[0].format != FORMAT:
            raise TraceError(f"{name!r} has format {events[0].format!r}; this version reads format {FORMAT}")
        return cls(events)


def _call(start: CallStarted, end: CallFinished | CallScored | CallFailed | None, retries: int, wall_s: float) -> Call:
    outcome: Completion | Scores | Failure | None
    match end:
        case CallFinished():
            outcome = end.completion
        case CallScored():
            outcome = end.scores
        case CallFailed():
            outcome = end.failure
        case None:
            outcome = None
    end_s = wall_s if end is None else end.t_s
    start_s = start.t_s if outcome is None else max(start.t_s, end_s - outcome.latency_s)
    cached = isinstance(end, CallFinished | CallScored) and end.cached
    return Call(start.call, start.member, start.stage, start.needs, start.t_s, start_s, end_s, outcome, retries, cached)


def _by_dependency(ends: Iterable[str], needs: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Every node below `ends`, each once, after all that it needs. Without recursion: chains can be long.

    In a circle, which only a damaged file can hold, the node where it was entered comes last.
    """
    entered: set[str] = set()
    for end in ends:
        stack = [(end, False)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                yield node
            elif node not in entered:
                entered.add(node)
                stack.append((node, True))
                stack.extend((below, False) for below in needs.get(node, ()) if below not in entered)


def _line(event: Event) -> str:
    from pydantic_core import to_json

    line = {"event": _NAMES[type(event)], **{field.name: getattr(event, field.name) for field in fields(event)}}
    if isinstance(event, RunStarted):  # sets have no order, and the same trace is to be the same text
        line["cards"] = [{**asdict(card), "capabilities": sorted(card.capabilities)} for card in event.cards]
    try:
        return to_json(line, inf_nan_mode="constants", fallback=_plain).decode()
    except ValueError:  # half a character, which no UTF-8 can hold
        return json.dumps(line, default=_plain)


def _plain(value: Any) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} cannot stand in a trace")


def _event(line: str, where: str) -> Event:
    from pydantic import ValidationError

    try:
        fields = json.loads(line)
        event: Event = _reader(fields.pop("event")).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise TraceError(f"{where}: no event of this program: {line[:120]!r} ({what})") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise TraceError(f"{where}: no event of this program: {line[:120]!r} ({error!r})") from error
    return event


@cache
def _reader(kind: str) -> Any:
    """What makes events of one kind out of plain data. Raises `KeyError`."""
    from pydantic import TypeAdapter

    return TypeAdapter(KINDS[kind])
