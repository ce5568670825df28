"""JudgeBlender's votes over graded labels, small enough to reckon by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.ranking import average_vote, majority_vote, majority_vote_max, majority_vote_min, mean
from coterie.types import Judgement


def labelled(*labels: dict[str, float]) -> list[Judgement]:
    """One ballot for each judge, with a label from 0 to 3 for each id it spoke of."""
    return [Judgement(f"judge{n}", tuple(given), tuple(given.values())) for n, given in enumerate(labels)]


def of_one(*labels: float) -> list[Judgement]:
    return labelled(*({"a": label} for label in labels))


THREE = labelled({"a": 2, "b": 1, "c": 3}, {"a": 2, "b": 3, "c": 2}, {"a": 0, "b": 2, "c": 2})
"""a has {2, 2, 0}, b {1, 3, 2}, c {3, 2, 2}."""


def test_the_most_frequent_label_is_taken_and_a_tie_is_averaged() -> None:
    made = majority_vote(THREE, "abc")
    assert made.scores == {"a": 2.0, "b": 2.0, "c": 2.0}
    assert made.ties == (("a", "b", "c"),)
    assert made.rule == "majority_vote"


def test_a_tie_may_be_settled_upwards_or_downwards() -> None:
    assert majority_vote_max(THREE, "abc").scores == {"a": 2.0, "b": 3.0, "c": 2.0}
    assert majority_vote_min(THREE, "abc").scores == {"a": 2.0, "b": 1.0, "c": 2.0}
    assert majority_vote_max(THREE, "abc").order == ("b", "a", "c")
    assert majority_vote_min(THREE, "abc").order == ("a", "c", "b")
    assert (majority_vote_max(THREE, "a").rule, majority_vote_min(THREE, "a").rule) == (
        "majority_vote_max",
        "majority_vote_min",
    )


def test_the_average_of_tied_labels_is_of_the_tied_alone() -> None:
    assert majority_vote(of_one(3, 3, 0, 0, 1), "a").scores == {"a": 1.5}


def test_a_draw_among_tied_labels_repeats_under_its_seed() -> None:
    drawn = {seed: majority_vote(THREE, "abc", "random", seed).scores for seed in range(60)}
    assert drawn == {seed: majority_vote(THREE, "abc", "random", seed).scores for seed in range(60)}
    assert {scores["b"] for scores in drawn.values()} == {1.0, 2.0, 3.0}
    assert {(scores["a"], scores["c"]) for scores in drawn.values()} == {(2.0, 2.0)}
    assert majority_vote(THREE, "abc", "random").rule == "majority_vote_random"


def test_two_candidates_with_one_set_of_labels_draw_each_for_itself() -> None:
    votes = labelled({"a": 0, "b": 0}, {"a": 3, "b": 3})
    drawn = {tuple(majority_vote(votes, "ab", "random", seed).scores.values()) for seed in range(60)}
    assert drawn == {(0.0, 0.0), (0.0, 3.0), (3.0, 0.0), (3.0, 3.0)}


@pytest.mark.parametrize(
    ("labels", "rounded"),
    [
        ((2, 2, 0), 1),
        ((1, 3, 2), 2),
        ((3, 2, 2), 2),
        ((1, 2), 2),
        ((2, 3), 3),
        ((0, 1), 1),
        ((-1, 0), 0),
        ((-2, -1), -1),
    ],
)
def test_an_average_is_rounded_with_halves_upwards(labels: Sequence[float], rounded: float) -> None:
    assert average_vote(of_one(*labels), "a").scores == {"a": rounded}


def test_a_half_that_floats_just_miss_is_a_half() -> None:
    votes = [replace(vote, weight=weight) for vote, weight in zip(of_one(1, 1, 2), (0.1, 0.2, 0.3), strict=True)]
    assert mean(votes, "a").scores == {"a": 1.4999999999999998}
    assert average_vote(votes, "a").scores == {"a": 2.0}


def test_a_majority_is_of_weight() -> None:
    votes = [replace(vote, weight=weight) for vote, weight in zip(of_one(1, 1, 3), (0.2, 0.2, 1.0), strict=True)]
    assert majority_vote(votes, "a").scores == {"a": 3.0}
    level = [replace(vote, weight=weight) for vote, weight in zip(of_one(1, 1, 3), (0.1, 0.2, 0.3), strict=True)]
    assert majority_vote(level, "a").scores == {"a": 2.0}


def test_a_better_label_can_break_a_majority() -> None:
    before, after = majority_vote(of_one(4, 4, 1, 2), "a"), majority_vote(of_one(5, 4, 1, 2), "a")
    assert (before.scores, after.scores) == ({"a": 4.0}, {"a": 3.0})


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_every_vote_lies_among_its_labels(labels: list[int]) -> None:
    votes = of_one(*map(float, labels))
    for vote in (majority_vote, majority_vote_max, majority_vote_min, average_vote):
        (label,) = vote(votes, "a").scores.values()
        assert label is not None
        assert min(labels) <= label <= max(labels)


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_a_label_with_more_than_half_of_the_votes_is_the_majoritys(labels: list[int]) -> None:
    votes = of_one(*map(float, labels))
    for label in set(labels):
        if labels.count(label) * 2 > len(labels):
            assert majority_vote(votes, "a").scores == {"a": float(label)}
