"""Steps that several methods take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coterie.errors import ConfigError
from coterie.protocols import Fuser, Judge, Run
from coterie.ranking import rule
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


def standings(ranking: Ranking, judgements: Sequence[Judgement], candidates: Sequence[Candidate]) -> list[Standing]:
    """The candidates in the ranking's order, each with its score and what was said of it by name."""
    by_id = {candidate.id: candidate for candidate in candidates}
    return [
        Standing(
            by_id[id_],
            ranking.scores[id_],
            tuple(j.reason for j in judgements if j.reason and j.about == (id_,)),
        )
        for id_ in ranking.order
    ]


def first(ranking: Ranking, candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that the ranking puts first."""
    return next(candidate for candidate in candidates if candidate.id == ranking.best)


async def fuse_or_first(fuser: Fuser, request: Request, ranking: Ranking, best: Sequence[Standing], run: Run) -> Result:
    """The fused answer; the ranking's first, said so, where there is nothing to fuse or the fuser fails."""
    winner = best[0].candidate
    if len(best) < 2:
        return Result(winner, "ranked", ranking)
    fused = await run.fuse(fuser, request, best)
    if isinstance(fused, Failure):
        run.note(f"the fuser ({fused.member}) failed ({fused.error}), so the answer is the ranking's first")
        return Result(winner, "ranked", ranking)
    return Result(fused, "fused", ranking)
