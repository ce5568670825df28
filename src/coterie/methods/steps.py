"""Steps that several methods take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coterie.errors import ConfigError, NoAnswer
from coterie.protocols import Fuser, Judge, Run
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
    except NoAnswer:
        others = [member for member in members if member not in plan.members]
        if not others or run.expired:
            raise
        run.note(
            f"none of {', '.join(plan.members)} answered, who were to write on this turn, so the others were asked"
        )
        return (await run.generate(others, request))[: plan.top_k]


async def answered(fuser: Fuser | None, request: Request, candidates: Sequence[Candidate], run: Run) -> Result:
    """The answer of a turn without ranking: out of all that was written, in the order in which it stands."""
    if len(candidates) == 1:
        return Result(candidates[0], "only")
    return await fuse_or_first(fuser, request, None, [Standing(candidate) for candidate in candidates], run)


def standings(ranking: Ranking, judgements: Sequence[Judgement], candidates: Sequence[Candidate]) -> list[Standing]:
    """The candidates in the ranking's order, each with its score and what was said of it by name."""
    by_id = {candidate.id: candidate for candidate in candidates}
    return [
        Standing(
            by_id[id_],
            ranking.scores[id_],
            tuple(said for judgement in judgements if (said := _said_of(id_, judgement))),
        )
        for id_ in ranking.order
    ]


def _said_of(id_: str, judgement: Judgement) -> str:
    """What a judgement said of one candidate; empty where it said nothing of it in particular.

    What is said of each comes before what is said at all: only the former names nobody.
    """
    of_each = dict(zip(judgement.about, judgement.reasons, strict=False))
    if of_each:
        return of_each.get(id_, "")
    return judgement.reason if judgement.about == (id_,) else ""


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
        run.note("the ranking's first calls tools, so it is the answer as it stands")
        return Result(winner, "ranked", ranking)
    fused = await run.fuse(fuser, request, best)
    if isinstance(fused, Failure):
        run.note(f"the fuser ({fused.member}) failed ({fused.error}), so the answer is the ranking's first")
        return Result(winner, "ranked", ranking)
    return Result(fused, "fused", ranking)
