"""Steps that several methods take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from coterie.errors import ConfigError, NoAnswer
from coterie.protocols import Aim, Fuser, Judge, Run
from coterie.ranking import rule
from coterie.turns import Plan
from coterie.types import Candidate, Failure, Judgement, Ranking, Request, Result, Standing


def everyone(members: Iterable[str], *parts: object) -> tuple[str, ...]:
    """`members` and whoever the parts ask by name, each once."""
    asked = (name for part in parts for name in getattr(part, "asks", ()))
    return tuple(dict.fromkeys((*members, *asked)))


def check_rule(name: str, judge: Judge) -> None:
    """Raises `ConfigError` before anybody is asked: for a rule that does not exist, or that would misread the judge."""
    rule(name)
    readable = getattr(judge, "rules", None)
    if readable is not None and name not in readable:
        use = " or ".join(map(repr, readable))
        raise ConfigError(f"the rule {name!r} would misread the judgements of {type(judge).__name__} as set: use {use}")


def check_top_k(top_k: int) -> None:
    """Raises `ValueError` for a number of candidates to fuse that is none."""
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k!r}")


async def written(plan: Plan, members: Sequence[str], request: Request, run: Run) -> list[Candidate]:
    """What the plan's members write on a turn without ranking; where all of them fail, what the others of the pool do.

    Raises `NoAnswer` where nobody writes anything.
    """
    try:
        return await run.generate(plan.members, request)
    except NoAnswer as failure:
        return (await run.generate(_others(plan, members, run, failure), request))[: plan.top_k]


async def judged(
    plan: Plan, members: Sequence[str], request: Request, run: Run, judge: Judge, aim: Aim | None = None
) -> tuple[list[Candidate], list[Judgement]]:
    """What is written on a turn with a ranking, and what the judge says of it; as `written` where all of them fail."""
    try:
        return await run.judged(plan.members, request, judge, aim)
    except NoAnswer as failure:
        return await run.judged(_others(plan, members, run, failure), request, judge, aim)


def _others(plan: Plan, members: Sequence[str], run: Run, failure: NoAnswer) -> list[str]:
    """Who was not to write on this turn. Raises `failure` where there is nobody else, or no time."""
    others = [member for member in members if member not in plan.members]
    if not others or run.expired:
        raise failure
    run.note(f"none of {', '.join(plan.members)} answered, who were to write on this turn, so the others were asked")
    return others


async def answered(fuser: Fuser | None, request: Request, candidates: Sequence[Candidate], run: Run) -> Result:
    """The answer of a turn without ranking: out of all that was written, in the order in which it stands."""
    if len(candidates) == 1:
        return Result(candidates[0], "only")
    return await fuse_or_first(fuser, request, None, [Standing(candidate) for candidate in candidates], run)


def standings(
    ranking: Ranking, judgements: Sequence[Judgement], candidates: Sequence[Candidate], top_k: int
) -> list[Standing]:
    """The first `top_k` candidates of the ranking, each with its score and what was said of it in particular."""
    by_id = {candidate.id: candidate for candidate in candidates}
    reasons: dict[str, list[str]] = {}
    for judgement in judgements:
        for id_, said in _said(judgement):
            reasons.setdefault(id_, []).append(said)
    return [Standing(by_id[id_], ranking.scores[id_], tuple(reasons.get(id_, ()))) for id_ in ranking.order[:top_k]]


def _said(judgement: Judgement) -> Iterator[tuple[str, str]]:
    """What a judgement said of single candidates.

    What is said of each comes before what is said at all: only the former names nobody.
    """
    if judgement.reasons:
        yield from ((id_, said) for id_, said in zip(judgement.about, judgement.reasons, strict=True) if said)
    elif len(judgement.about) == 1 and judgement.reason:
        yield judgement.about[0], judgement.reason


def first(ranking: Ranking, candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that the ranking puts first."""
    return next(candidate for candidate in candidates if candidate.id == ranking.best)


async def fuse_or_first(
    fuser: Fuser | None, request: Request, ranking: Ranking | None, best: Sequence[Standing], run: Run
) -> Result:
    """The fused answer; the first where there is nothing to fuse, nobody to do it, or the fuser fails, which is said.

    A first that calls tools stands as it is: no text made of it would be a call.
    """
    winner = best[0].candidate
    if fuser is None or len(best) < 2:
        return Result(winner, "ranked", ranking)
    if winner.tool_calls:
        run.note("the first answer calls tools, so it is given as it stands")
        return Result(winner, "ranked", ranking)
    fused = await run.fuse(fuser, request, best)
    if isinstance(fused, Failure):
        run.note(f"the fuser ({fused.member}) failed ({fused.error}), so the answer is the ranking's first")
        return Result(winner, "ranked", ranking)
    return Result(fused, "fused", ranking)
