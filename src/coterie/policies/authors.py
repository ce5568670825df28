"""From candidates to their authors: what a policy keeps of a turn outlives the turn's candidates."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.types import Candidate, Ranking


def by_author(ranking: Ranking, candidates: Sequence[Candidate]) -> Ranking:
    """`ranking` with each candidate's id replaced by its author's name.

    An author of several candidates stands where its best one does. Raises `KeyError` for a ranked id that is
    none of `candidates`.
    """
    author = {candidate.id: candidate.author for candidate in candidates}
    best: dict[str, str] = {}
    for id_ in ranking.order:
        best.setdefault(author[id_], id_)
    tied = [tuple(author[id_] for id_ in group if best[author[id_]] == id_) for group in ranking.ties]
    return Ranking(
        tuple(best),
        {name: ranking.scores[id_] for name, id_ in best.items()},
        ranking.rule,
        tuple(group for group in tied if len(group) > 1),
        ranking.notes,
    )
