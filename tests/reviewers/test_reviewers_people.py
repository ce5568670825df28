"""Weights by what people said of answers that members reviewed."""

from __future__ import annotations

import math
import random

import pytest

from coterie.errors import ConfigError
from coterie.outcomes.hearing import Said
from coterie.prospects import Feedback
from coterie.reviewers import Battle, Learned, People, Review


def said(preferred: str, over: str, *, tie: bool = False) -> tuple[Said, ...]:
    return (Said(Feedback(preferred=preferred, over=over, tie=tie), "somewhere"),)


def review(run: str, reviewer: str, score: int) -> Review:
    """`reviewer` on the answers of b and a, in that order; 1 where it found b's better."""
    return Review(run, reviewer, (Battle("b", "a", score),))


def learned(right: int, wrong: int, ties: int = 0, *, force: bool = True) -> Learned:
    scores = [-1] * right + [1] * wrong + [0] * ties
    reviews = [review(f"run-{n}", "judge", score) for n, score in enumerate(scores)]
    heard = {f"run-{n}": said("a", "b") for n in range(len(scores))}
    return People(heard, lowest=0.0).learn(reviews, force=force)


def test_who_sides_with_people_weighs_more() -> None:
    heard = {f"run-{n}": said("a", "b") for n in range(20)}
    reviews = [review(f"run-{n}", "good", -1 if n < 18 else 1) for n in range(20)]
    reviews += [review(f"run-{n}", "fair", -1 if n < 13 else 1) for n in range(20)]
    reviews += [review(f"run-{n}", "poor", -1 if n < 6 else 1) for n in range(20)]
    found = People(heard, lowest=0.1).learn(reviews)
    fair = math.log((14 / 22) / (8 / 22)) / math.log((19 / 22) / (3 / 22))
    assert found.weights == {"good": 1.0, "fair": pytest.approx(fair), "poor": 0.1}
    assert found.by == "people"


def test_a_tie_of_either_side_counts_half() -> None:
    assert learned(10, 10, 20).notes[-1] == "nobody sides with people more often than not: all weigh alike"
    heard = {"run-1": said("a", "b", tie=True)}
    assert People(heard).learn([review("run-1", "judge", 1)], force=True).weights == {"judge": 1.0}


def test_too_little_is_refused_or_noted() -> None:
    with pytest.raises(ConfigError, match="29 pairs were compared by reviewers and by people, and 30 are needed"):
        learned(29, 0, force=False)
    assert learned(29, 0).notes[0].startswith("forced: 29 pairs")
    assert learned(30, 0, force=False).notes == ()


def test_feedback_on_other_runs_and_members_teaches_nothing() -> None:
    for heard in ({}, {"elsewhere": said("a", "b")}, {"run-1": said("a", "c")}):
        with pytest.raises(ConfigError, match="no preference in the feedback speaks of two answers"):
            People(heard).learn([review("run-1", "judge", 1)], force=True)


def test_weights_find_the_better_answer_more_often_than_equal_ones() -> None:
    """Three reviewers whose accuracies differ: half of the questions to learn from, the others to vote on."""
    rng, accuracy = random.Random(7), {"sharp": 0.9, "dull": 0.55, "blunt": 0.52}
    scores = [{name: -1 if rng.random() < p else 1 for name, p in accuracy.items()} for _ in range(2000)]
    reviews = [
        review(f"run-{n}", name, score) for n, votes in enumerate(scores[:1000]) for name, score in votes.items()
    ]
    weights = People({f"run-{n}": said("a", "b") for n in range(1000)}, lowest=0.0).learn(reviews).weights

    def right(weight: dict[str, float]) -> int:
        return sum(sum(weight[name] * score for name, score in votes.items()) < 0 for votes in scores[1000:])

    assert right(dict(weights)) > right(dict.fromkeys(accuracy, 1.0)) + 100
