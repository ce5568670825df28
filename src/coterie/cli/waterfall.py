"""A trace as people look at it: a waterfall of its calls, what was said of whom, and the bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from coterie.cli import report
from coterie.cli.screen import shortened, shown, table
from coterie.trace import (
    AnswerGiven,
    Call,
    CandidateOffered,
    ChoiceMade,
    JudgementMade,
    Noted,
    ProspectsGiven,
    RankingMade,
    Trace,
    WorkDone,
)
from coterie.types import Candidate, Failure, Json, Usage

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 40
"""Characters that the whole run's time takes in the drawing."""


def of_trace(trace: Trace) -> Iterator[RenderableType]:
    """Everything worth seeing of a run."""
    from rich.text import Text

    started, finished = trace.started, trace.finished
    status = finished.status if finished else "unfinished"
    yield Text(
        f"{started.method} · {started.started_at} · {status} · seed {started.seed} · id {started.run}", style="dim"
    )
    yield Text(f"\n{shortened(started.request.question, 300)}\n", style="bold")
    for given in trace.of(ProspectsGiven):
        basis = f": {shortened(given.prospects.basis, 120)}" if given.prospects.basis else ""
        yield from report.section(f"prospects ({given.prospects.router}{basis})", report.prospects(given.prospects))
    for made in trace.of(ChoiceMade):
        yield from report.section("choice", Text(shown(made.choice.reason)))
    yield from report.section("calls (* lies on the critical path)", calls(trace))
    offered = [event.candidate for event in trace.of(CandidateOffered)]
    authors = {candidate.id: candidate.author for candidate in offered}
    rankings = [event.ranking for event in trace.of(RankingMade)]
    if offered:
        yield from report.section("candidates", report.candidates(offered, rankings[-1] if rankings else None))
    judgements = [event.judgement for event in trace.of(JudgementMade)]
    if judgements:
        yield from report.section("ballots", report.ballots(judgements, authors))
    for ranking in rankings:
        yield from report.section("ranking", Text(report.ranking_line(ranking, authors)))
    if notes := [event.text for event in trace.of(Noted)]:
        yield from report.section("notes", Text("\n".join(map(shown, notes))))
    if answer := _answer(trace, offered):
        yield from report.section(f"answer ({answer.author})", Text(shown(answer.text.strip()), style="bold"))
    elif finished and finished.error:
        yield from report.section("no answer", Text(shown(finished.error)))
    yield from report.section("bill", bill(trace))
    yield Text(report.timing_line(trace, finished.usage if finished else trace.bill.total), style="dim")


def calls(trace: Trace) -> RenderableType:
    critical = set(trace.critical_path.calls)
    rows = []
    for done in trace.of(WorkDone):
        began_s = done.t_s - done.took_s
        mark = "*" if done.work in critical else ""
        times = _times(began_s, began_s, done.t_s, trace.wall_s)
        rows.append((mark, done.work, done.actor, done.stage, *times, "ok"))
    rows += [
        (
            "*" if call.id in critical else "",
            call.id,
            call.member,
            call.stage,
            *_times(call.asked_s, call.start_s, call.end_s, trace.wall_s),
            _outcome(call),
        )
        for call in trace.calls.values()
    ]
    return table(("", "call", "member", "stage", f"0 to {trace.wall_s:.2f} s", "at s", "took s", "outcome"), rows)


def _times(asked_s: float, start_s: float, end_s: float, wall_s: float) -> tuple[str, str, str]:
    """A bar in the run's time (waiting for a slot dotted, running solid), the beginning, the duration."""
    scale = WIDTH / wall_s if wall_s else 0.0
    asked, start, end = (min(WIDTH, int(t * scale)) for t in (asked_s, start_s, end_s))
    bar = (" " * asked + "·" * (start - asked) + "█" * max(1, end - start)).ljust(WIDTH)
    return bar, f"{start_s:.3f}", f"{end_s - start_s:.3f}"


def _outcome(call: Call) -> str:
    retried = f" after {call.retries} retries" if call.retries else ""
    if call.outcome is None:
        return "did not end"
    if isinstance(call.outcome, Failure):
        return f"{call.outcome.kind.value}: {shortened(call.outcome.error, 60)}{retried}"
    return f"{'cached' if call.cached else 'ok'}{retried}"


def bill(trace: Trace) -> RenderableType:
    rows = [(name, *_usage(usage)) for name, usage in trace.bill.members.items()]
    rows.append(("total", *_usage(trace.bill.total)))
    return table(("member", "calls", "tokens in", "tokens out", "USD"), rows)


def _usage(usage: Usage) -> tuple[str, str, str, str]:
    cost = "unknown" if usage.cost_usd is None else f"{usage.cost_usd:.6f}"
    return str(usage.calls), report.count(usage.input_tokens), report.count(usage.output_tokens), cost


def as_json(trace: Trace) -> dict[str, Json]:
    """The same for programs."""
    finished, path, spent = trace.finished, trace.critical_path, trace.bill
    critical = set(path.calls)
    return {
        "id": trace.started.run,
        "method": trace.started.method,
        "started_at": trace.started.started_at,
        "seed": trace.started.seed,
        "status": finished.status if finished else "unfinished",
        "question": trace.started.request.question,
        "calls": [
            {
                "id": call.id,
                "member": call.member,
                "stage": call.stage,
                "asked_s": call.asked_s,
                "start_s": call.start_s,
                "end_s": call.end_s,
                "critical": call.id in critical,
                "outcome": _outcome(call),
            }
            for call in trace.calls.values()
        ],
        "candidates": [asdict(event.candidate) for event in trace.of(CandidateOffered)],
        "judgements": [asdict(event.judgement) for event in trace.of(JudgementMade)],
        "prospects": [asdict(event.prospects) for event in trace.of(ProspectsGiven)],
        "choices": [asdict(event.choice) for event in trace.of(ChoiceMade)],
        "rankings": [asdict(event.ranking) for event in trace.of(RankingMade)],
        "answer": next((asdict(event) for event in trace.of(AnswerGiven)), None),
        "timing": {"wall_s": trace.wall_s, "critical_path_s": path.seconds, "critical_path": list(path.calls)},
        "bill": asdict(spent),
    }


def _answer(trace: Trace, offered: list[Candidate]) -> Candidate | None:
    given = next(trace.of(AnswerGiven), None)
    return next((c for c in offered if given and c.id == given.candidate), None)
