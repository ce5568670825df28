"""Battles made of outcomes: who fights whom, who wins, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.outcomes.battles import battles_of, pairs_of
from coterie.outcomes.outcome import Outcomes

NAN = float("nan")


def outcomes(scores: list[list[float]], places: tuple[str, ...] = ()) -> Outcomes:
    table = np.array(scores, dtype=np.float64).reshape(len(scores), len(scores[0]) if scores else 3)
    unknown = np.full(table.shape, np.nan)
    members = tuple("abcdef"[: table.shape[1]])
    prompts = tuple(f"prompt {n}" for n in range(len(table)))
    return Outcomes(members, prompts, table, unknown, unknown, places=places)


def test_the_higher_score_wins_and_equal_scores_tie() -> None:
    battles = battles_of(outcomes([[1.0, 0.0, 1.0]]))
    assert battles.members == ("a", "b", "c")
    assert list(zip(battles.first, battles.second, battles.result, strict=True)) == [
        (0, 1, 1.0),
        (0, 2, 0.5),
        (1, 2, 0.0),
    ]


def test_who_has_no_score_fights_nobody() -> None:
    battles = battles_of(outcomes([[NAN, 0.2, 0.1], [0.3, NAN, NAN], [NAN, NAN, NAN], [0.0, 1.0, NAN]]))
    assert battles.prompts == ("prompt 0", "prompt 3")
    assert battles.first.tolist() == [1, 0]
    assert battles.second.tolist() == [2, 1]
    assert battles.result.tolist() == [1.0, 0.0]


def test_battles_know_where_their_prompt_stands() -> None:
    battles = battles_of(outcomes([[0.0, 1.0, 0.5], [0.0, 1.0, NAN]], places=("f:1", "f:2")))
    assert battles.places == ("f:1", "f:1", "f:1", "f:2")
    assert battles_of(outcomes([[0.0, 1.0]])).places == ()


@pytest.mark.parametrize("scores", [[[1.0], [0.0]], []])
def test_one_member_or_no_prompt_makes_no_battle(scores: list[list[float]]) -> None:
    battles = battles_of(outcomes(scores))
    assert len(battles) == 0
    assert battles.result.dtype == np.float64


score = st.sampled_from([0.0, 0.25, 1.0, NAN])


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(score, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_all_pairs_that_both_have_a_score_fight_once(scores: list[list[float]]) -> None:
    table = np.array(scores)
    pairs = pairs_of(table)
    known = (~np.isnan(table)).sum(axis=1)
    assert len(pairs) == (known * (known - 1) // 2).sum()
    assert (pairs.first < pairs.second).all()
    assert (np.diff(pairs.prompt) >= 0).all()
    won, lost = table[pairs.prompt, pairs.first], table[pairs.prompt, pairs.second]
    assert (pairs.result == np.where(won > lost, 1.0, np.where(won < lost, 0.0, 0.5))).all()
