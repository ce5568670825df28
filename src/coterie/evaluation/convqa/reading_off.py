"""A row read off a trace: what was asked, how long it took by stage, what it cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from coterie.answer import Answer
from coterie.evaluation.blending.rows import Question, Row, Variant
from coterie.evaluation.metrics.token_f1 import TokenF1
from coterie.trace import CandidateOffered, RankingMade, Trace, TurnPlanned, WorkDone
from coterie.types import BallotMode

GENERATE, RANK, FUSE = "generate", "rank", "fuse"


def row_of(variant: Variant, question: Question, seed: int, answer: Answer, reviews_each: int | None) -> Row:
    """The row of an answered question, without its quality."""
    trace = answer.trace
    planned = next(trace.of(TurnPlanned), None)
    bill = trace.bill
    counted = Counter(_stage(call.stage) for call in trace.calls.values())
    fused = counted[FUSE] or sum(1 for work in trace.of(WorkDone) if work.stage == FUSE)
    taken = stages(trace)
    live = not any(call.cached for call in trace.calls.values())
    ranked = next(trace.of(RankingMade), None) is not None
    return replace(
        _bare(variant, question, seed),
        text=answer.text,
        author=answer.candidate.author,
        how=answer.how,
        time_s=taken.time_s,
        generate_s=taken.generate_s,
        rank_s=taken.rank_s,
        fuse_s=taken.fuse_s,
        wall_s=trace.wall_s if live else None,
        ranked=ranked,
        asked=len(planned.plan.members) if planned else variant.n,
        reviews_each=reviews_each if ranked else 0,
        generations=counted[GENERATE],
        reviews=counted[RANK],
        fusions=fused,
        input_tokens=bill.total.input_tokens,
        output_tokens=bill.total.output_tokens,
        cost_usd=bill.total.cost_usd,
        similarity=similarity(trace),
    )


def failed_row(variant: Variant, question: Question, seed: int, why: str) -> Row:
    """The row of a question that nobody answered."""
    return replace(_bare(variant, question, seed), failed=why or "there is no answer")


@dataclass(frozen=True)
class Stages:
    """Seconds of the critical path, and of its stages, whose sum it is."""

    time_s: float
    generate_s: float
    rank_s: float
    fuse_s: float


def stages(trace: Trace) -> Stages:
    """Seconds of the critical path, by stage: as it would have been had every call gone out when it could.

    Latencies are those of the calls, recorded or live, without waiting for a slot; all members side by side.
    """
    took = {
        call.id: call.outcome.latency_s if call.outcome is not None else call.duration_s
        for call in trace.calls.values()
    }
    stage = {call.id: _stage(call.stage) for call in trace.calls.values()}
    for work in trace.of(WorkDone):
        took[work.work], stage[work.work] = work.took_s, _stage(work.stage)
    path = trace.longest(took)
    spent = [math.fsum(took[id_] for id_ in path.calls if stage[id_] == name) for name in (GENERATE, RANK, FUSE)]
    return Stages(path.seconds, *spent)


def similarity(trace: Trace) -> float | None:
    """How alike the members' answers were: the mean token F1 of every two; ``None`` for fewer than two."""
    texts = [e.candidate.text for e in trace.of(CandidateOffered) if not e.candidate.parents]
    if len(texts) < 2:
        return None
    pairs = list(combinations(texts, 2))
    with TokenF1().open() as metric:
        scores = metric.score([a for a, _ in pairs], [b for _, b in pairs])
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known else None


def reviews_each(modes: Mapping[str, BallotMode | None], asked: int, each: int | None) -> int | None:
    """k: how many review calls an answer is to get; ``None`` where reviewers differ, so that there is no one k."""
    most = min(asked - 1, each or asked - 1)
    calls = {most if mode in (BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB) else 1 for mode in modes.values()}
    return calls.pop() if len(calls) == 1 else None


def oracle_row(variant: Variant, singles: list[Row], metric: str) -> Row:
    """The best single answer in hindsight: by each metric its own best, the text by the first one."""
    answered = [row for row in singles if not row.failed]
    best = max(answered, key=lambda row: value if (value := row.quality.get(metric)) is not None else -math.inf)
    names = dict.fromkeys(name for row in answered for name in row.quality)
    quality = {
        name: max((v for row in answered if (v := row.quality.get(name)) is not None), default=None) for name in names
    }
    slowest = max((row.time_s or 0.0 for row in answered), default=0.0)
    return replace(
        best,
        method=variant.method,
        kind=variant.kind,
        n=variant.n,
        quality=quality,
        time_s=slowest,
        generate_s=slowest,
        generations=len(singles),
        asked=len(singles),
        wall_s=None,
        input_tokens=None,
        output_tokens=None,
        cost_usd=None,
    )


def _bare(variant: Variant, question: Question, seed: int) -> Row:
    """A row of which only the place and the variant are known."""
    return Row(
        question.dataset,
        question.conversation,
        question.turn,
        variant.method,
        variant.kind,
        variant.n,
        variant.top_k,
        variant.judge,
        variant.rule,
        variant.policy,
        variant.temperature,
        seed,
    )


def _stage(stage: str) -> str:
    """Writing, fusing, and everything between, which ranks."""
    return stage if stage in (GENERATE, FUSE) else RANK
