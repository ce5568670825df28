"""From a ranking of candidates to one of members."""

from __future__ import annotations

import pytest

from coterie.policies import by_author
from coterie.ranking import borda, mean
from coterie.types import Candidate, Judgement, Ranking

ONE_EACH = [Candidate("c1", "x", "one"), Candidate("c2", "y", "two"), Candidate("c3", "z", "three")]


def test_ids_become_names_and_everything_else_stays() -> None:
    ranking = borda([Judgement("j", ("c1", "c2"), (1.0, 1.0))], ("c1", "c2", "c3"))
    assert by_author(ranking, ONE_EACH) == Ranking(
        ("x", "y", "z"), {"x": 0.5, "y": 0.5, "z": None}, "borda", (("x", "y"),), ("no ballot spoke of c3",)
    )


def test_an_author_of_several_stands_where_its_best_candidate_does() -> None:
    many = [Candidate("c1", "x", "1"), Candidate("c2", "y", "2"), Candidate("c3", "x", "3"), Candidate("c4", "z", "4")]
    ranking = mean([Judgement("j", ("c1", "c2", "c3", "c4"), (1.0, 1.0, 5.0, 1.0))], ("c1", "c2", "c3", "c4"))
    made = by_author(ranking, many)
    assert made.order == ("x", "y", "z")
    assert made.scores == {"x": 5.0, "y": 1.0, "z": 1.0}
    assert made.ties == (("y", "z"),)


def test_no_candidate_is_nobody() -> None:
    assert by_author(borda([], ()), []).order == ()


def test_an_id_of_nobody_is_an_error() -> None:
    with pytest.raises(KeyError):
        by_author(borda([], ("c9",)), ONE_EACH)
