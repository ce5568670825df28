"""Weights out of reviews, by hand and by what must hold."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.reviewers import LEARNERS, PRD, Battle, Learned, PiCO, Review, Simulated, Tally, Uniform
from coterie.reviewers.learned import DOUBTFUL
from coterie.reviewers.pico import consistency

every_learner = pytest.mark.parametrize("learner", [PRD(), PiCO(starts=2, steps=50)], ids=["prd", "pico"])


def says(reviewer: str, *best_first: str, run: str = "r") -> Review:
    return Review(run, reviewer, tuple(Battle(a, b, 1) for a, b in combinations(best_first, 2)))


def of_one_mind(members: str, questions: int) -> list[Review]:
    """Peers who all rank the others as `members` has them."""
    return [
        says(own, *(name for name in members if name != own), run=str(q)) for q in range(questions) for own in members
    ]


def shown(learned: Learned) -> dict[str, tuple[float, float]]:
    return {row.reviewer: (row.raw, row.weight) for row in learned.rows}


# ---- prd --------------------------------------------------------------------------------------

THREE = [says("a", "b", "c"), says("b", "a", "c"), says("c", "a", "b")]
"""Everybody agrees that a is better than b, and b than c."""


def test_prd_by_hand() -> None:
    # Win rates 1, 1/2, 0 are weights 2, 1, 0 about a mean of 1. Under them b wins what a says, and c says nothing.
    first = PRD(iterations=1).learn(THREE, force=True)
    assert shown(first) == {"a": (1.0, 1.0), "b": (0.5, 0.5), "c": (0.0, 0.2)}
    assert [row.score for row in first.rows] == [1.0, 1.0, 0.0]
    settled = PRD().learn(THREE, force=True)
    assert shown(settled) == {"a": (1.0, 1.0), "b": (1.0, 1.0), "c": (0.0, 0.2)}
    assert settled.weights == {"a": 1.0, "b": 1.0, "c": 0.2}


def test_the_published_divisor_holds_it_against_the_best_that_it_cannot_vouch_for_itself() -> None:
    # a's battles have b and c for reviewers, of weight 1 and 0, b's have a and c: (1 + 0) / 2 and (2 + 0) / 2.
    second = PRD(iterations=2, divisor="battles").learn(THREE, force=True)
    assert shown(second) == {"a": (0.5, 0.5), "b": (1.0, 1.0), "c": (0.0, 0.2)}
    third = PRD(iterations=3, divisor="battles").learn(THREE, force=True)
    assert shown(third) == {"a": (1.0, 1.0), "b": (0.5, 0.5), "c": (0.0, 0.2)}  # and back: it never settles


def test_prd_as_published_silences_the_worst() -> None:
    assert PRD(lowest=0.0).learn(THREE, force=True).weights["c"] == 0.0
    assert "raised to 0.2: c" in PRD().learn(THREE, force=True).notes


def test_prd_settles_within_its_iterations_where_members_differ() -> None:
    rng, names = random.Random(3), "abcdef"
    committee = Simulated({name: n / 3 for n, name in enumerate(names)}, dict.fromkeys(names, 1.0))
    reviews = [review for q in range(40) for review in committee.ask(str(q), rng).reviews]
    five, fifty = (PRD(iterations=n, lowest=0.0).learn(reviews).weights for n in (5, 50))
    assert five == pytest.approx(dict(fifty), abs=1e-3)


# ---- pico -------------------------------------------------------------------------------------

matrices = st.integers(3, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=n, max_size=n),
        st.lists(st.floats(0.05, 0.95), min_size=n, max_size=n),
    )
)


@settings(max_examples=60, deadline=None)
@given(drawn=matrices)
def test_the_gradient_of_the_consistency_is_its_slope(drawn: tuple[list[list[float]], list[float]]) -> None:
    wins, weights = drawn
    rho, slope = consistency(wins, weights)
    assert -1 - 1e-9 <= rho <= 1 + 1e-9
    fares = [sum(a * w for a, w in zip(row, weights, strict=True)) for row in wins]
    if max(weights) - min(weights) < 0.05 or max(fares) - min(fares) < 0.05:
        return  # too flat for differences to say anything
    step = 1e-6
    for n in range(len(weights)):
        up, down = (consistency(wins, [w + s * (m == n) for m, w in enumerate(weights)])[0] for s in (step, -step))
        assert slope[n] == pytest.approx((up - down) / (2 * step), abs=1e-4)


def wins_of(reviews: Sequence[Review]) -> tuple[list[str], list[list[float]]]:
    tally = Tally.of(reviews)
    peers = list(tally.peers)
    return peers, [[tally.won[a].get(r, 0.0) / sum(tally.fought[a].values()) for r in peers] for a in peers]


def test_pico_finds_weights_that_go_with_what_they_bring_about() -> None:
    reviews = of_one_mind("abcdef", 20)
    learned = PiCO(lowest=0.0).learn(reviews)
    peers, wins = wins_of(reviews)
    rho, _ = consistency(wins, [learned.weights[name] for name in peers])
    assert rho > 1 - 1e-4  # every start finds 1, and the mean of what they find lies near it
    assert [row.reviewer for row in learned.rows] == list("abcdef")
    scores = [row.score for row in learned.rows if row.score is not None]
    assert scores == sorted(scores, reverse=True)


def test_starts_of_pico_agree_in_the_order_of_reviewers_and_not_in_the_weights() -> None:
    reviews = of_one_mind("abcdef", 20)
    one_by_one = [PiCO(starts=1, seed=seed).learn(reviews) for seed in range(6)]
    assert {tuple(row.reviewer for row in learned.rows) for learned in one_by_one} == {tuple("abcdef")}
    last = [learned.rows[-1].raw for learned in one_by_one]
    assert max(last) - min(last) > 0.05


def test_pico_repeats_under_its_seed() -> None:
    reviews = of_one_mind("abcde", 25)
    assert PiCO(seed=7).learn(reviews) == PiCO(seed=7).learn(reviews)
    assert PiCO(seed=7).learn(reviews) != PiCO(seed=8).learn(reviews)


def test_pico_eliminates_whose_answers_fare_worst() -> None:
    reviews = of_one_mind("abcdefghij", 10)
    learned = PiCO(eliminate=0.6, lowest=0.0).learn(reviews)
    assert {name for name, weight in learned.weights.items() if weight == 0.0} == set("efghij")
    assert "left out: e, f, g, h, i, j" in learned.notes
    assert "left out: e" in PiCO(eliminate=0.6).learn(of_one_mind("abcde", 20)).notes  # four are kept
    assert PiCO(eliminate=0.6).learn(of_one_mind("abcd", 25)).weights.keys() == set("abcd")


def test_where_nobody_is_better_all_weigh_alike() -> None:
    flat = [
        Review(str(q), own, tuple(Battle(a, b, 0) for a, b in combinations([n for n in "abcd" if n != own], 2)))
        for q in range(25)
        for own in "abcd"
    ]
    for learner in (PRD(), PiCO()):
        learned = learner.learn(flat)
        assert set(learned.weights.values()) == {1.0}
        assert DOUBTFUL in learned.notes
    assert any("no member's answers" in note for note in PiCO().learn(flat).notes)


# ---- both -------------------------------------------------------------------------------------


@every_learner
def test_too_little_is_refused_unless_it_is_forced(learner: PRD | PiCO) -> None:
    with pytest.raises(ConfigError, match=r"there are 96 reviews, and 100 are needed: record more.*--force"):
        learner.learn(of_one_mind("abcd", 24))
    with pytest.raises(ConfigError, match="3 members reviewed each other, and 4 are needed"):
        learner.learn(of_one_mind("abc", 40))
    with pytest.raises(ConfigError, match="no review by members"):
        learner.learn([], force=True)
    forced = learner.learn(of_one_mind("abc", 3), force=True)
    assert forced.notes[:2] == (
        "forced: 3 members reviewed each other, and 4 are needed",
        "forced: there are 9 reviews, and 100 are needed",
    )
    assert not any("forced" in note for note in learner.learn(of_one_mind("abcd", 25), force=True).notes)


@every_learner
def test_weights_lie_between_the_lowest_and_one(learner: PRD | PiCO) -> None:
    learned = learner.learn(of_one_mind("abcdefg", 15))
    assert max(learned.weights.values()) == 1.0
    assert min(learned.weights.values()) >= 0.2
    assert learned.weights["a"] >= learned.weights["d"] >= learned.weights["g"]
    assert [row.weight for row in learned.rows] == sorted(learned.weights.values(), reverse=True)
    assert {row.reviews for row in learned.rows} == {15}


@every_learner
def test_a_reviewer_that_answers_nothing_gets_the_others_mean(learner: PRD | PiCO) -> None:
    outside = [says("judge", *"abcd", run=str(q)) for q in range(25)]
    learned = learner.learn([*of_one_mind("abcd", 25), *outside])
    rows = {row.reviewer: row for row in learned.rows}
    assert rows["judge"].score is None
    assert rows["judge"].raw == pytest.approx(sum(rows[name].raw for name in "abcd") / 4)
    assert rows["judge"].agreement == 1.0


@every_learner
def test_neither_names_nor_the_order_of_reviews_matter(learner: PRD | PiCO) -> None:
    rng = random.Random(1)
    reviews = [says(o, *rng.sample([n for n in "abcde" if n != o], 4), run=str(q)) for q in range(25) for o in "abcde"]
    shuffled = learner.learn(rng.sample(reviews, len(reviews)))
    assert shuffled.weights == pytest.approx(dict(learner.learn(reviews).weights))
    assert learner.learn(reviews).by == type(learner).__name__.lower()


def test_names_are_only_names_to_prd() -> None:
    rng = random.Random(1)
    orders = [(o, rng.sample([n for n in "abcde" if n != o], 4), q) for q in range(25) for o in "abcde"]
    renamed = dict(zip("abcde", "zwyvx", strict=True))
    here = PRD().learn([says(o, *order, run=str(q)) for o, order, q in orders])
    there = PRD().learn([says(renamed[o], *(renamed[n] for n in order), run=str(q)) for o, order, q in orders])
    assert {renamed[name]: weight for name, weight in here.weights.items()} == pytest.approx(dict(there.weights))


def test_uniform_shows_win_rates_and_needs_nothing() -> None:
    learned = Uniform().learn(THREE)
    assert learned.weights == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert {row.reviewer: row.score for row in learned.rows} == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert learned.notes == ()
    assert Uniform().learn([]).rows == ()


def test_trust_is_how_own_answers_go_with_siding_with_others() -> None:
    # d's answers are the worst, and d alone turns every order round.
    fair = [r if r.reviewer != "d" else says("d", *"cba", run=r.run) for r in of_one_mind("abcd", 25)]
    learned = PRD().learn(fair)
    assert learned.rows[-1].reviewer == "d"
    assert learned.rows[-1].agreement == 0.0
    assert learned.trusted is not None
    assert learned.trusted > 0.5
    assert DOUBTFUL not in learned.notes
    # Now a's answers are the best, and a alone does.
    odd = [r if r.reviewer != "a" else says("a", *"dcb", run=r.run) for r in of_one_mind("abcd", 25)]
    doubtful = PRD().learn(odd)
    assert doubtful.trusted is not None
    assert doubtful.trusted < 0.5
    assert DOUBTFUL in doubtful.notes


@pytest.mark.parametrize(
    ("learner", "settings", "message"),
    [
        (PRD, {"iterations": 0}, "iterations must be at least 1, not 0"),
        (PRD, {"lowest": 1.5}, "lowest lies between 0 and 1, not at 1.5"),
        (PiCO, {"starts": 0}, "starts must be at least 1, not 0"),
        (PiCO, {"steps": 0}, "steps must be at least 1, not 0"),
        (PiCO, {"rate": 0.0}, "rate must be greater than 0, not 0.0"),
        (PiCO, {"eliminate": 1.0}, "eliminate is a share"),
        (PiCO, {"lowest": -0.1}, "lowest lies between"),
        (PiCO, {"rate": math.nan}, "rate must be greater than 0, not nan"),
    ],
)
def test_settings_that_cannot_work_are_refused(learner: Any, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learner(**settings)


def test_learners_are_found_by_name() -> None:
    assert {name: learner.__name__.lower() for name, learner in LEARNERS.items()} == {n: n for n in LEARNERS}
