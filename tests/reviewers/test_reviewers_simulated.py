"""Committees whose truth is known: learned weights help where who answers well reviews well, and warn where not."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from coterie.ranking import borda, normalised_borda
from coterie.reviewers import PRD, PiCO, Question, Simulated, agreements
from coterie.reviewers.learned import DOUBTFUL, Learned
from coterie.signals import spearman

NAMES = tuple(f"m{n}" for n in range(8))
ABILITIES = {name: -1.05 + 0.3 * n for n, name in enumerate(NAMES)}
"""The later the name, the better its answers."""

SHARP, DULL = 0.3, 2.5
"""The noise of the best and of the worst reviewer."""

LEARNED, HELD_OUT = 60, 150
SEEDS = range(5)

Learners = Mapping[str, PRD | PiCO]
LEARNERS: Learners = {"prd": PRD(), "pico": PiCO(starts=4, steps=100)}


def noises(*, aligned: bool) -> dict[str, float]:
    steps = [DULL - (DULL - SHARP) * n / (len(NAMES) - 1) for n in range(len(NAMES))]
    return dict(zip(NAMES, steps if aligned else reversed(steps), strict=True))


def world(noise: Mapping[str, float], seed: int) -> tuple[list[Question], list[Question]]:
    """Questions to learn from, and others to be judged by."""
    rng, committee = random.Random(seed), Simulated(ABILITIES, noise)
    asked = [committee.ask(str(n), rng) for n in range(LEARNED + HELD_OUT)]
    return asked[:LEARNED], asked[LEARNED:]


def found(questions: Sequence[Question], weights: Mapping[str, float]) -> float:
    """The share of questions whose best answer weighted Borda puts first."""
    hits = 0
    for question in questions:
        votes = [replace(ballot, weight=weights[ballot.judge]) for ballot in question.ballots]
        hits += normalised_borda(votes, NAMES).best == question.best
    return hits / len(questions)


def learned_in(noise: Mapping[str, float], learner: PRD | PiCO) -> tuple[list[Learned], float]:
    """What each seed's committee learned, and by how much its weights find the best answer more often, on average."""
    learned, gains = [], []
    for seed in SEEDS:
        past, future = world(noise, seed)
        learned.append(learner.learn([review for question in past for review in question.reviews]))
        gains.append(found(future, learned[-1].weights) - found(future, dict.fromkeys(NAMES, 1.0)))
    return learned, sum(gains) / len(gains)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_where_who_answers_well_reviews_well_weights_order_reviewers_and_find_the_best(name: str) -> None:
    noise = noises(aligned=True)
    learned, gain = learned_in(noise, LEARNERS[name])
    for one in learned:
        rho = spearman([one.weights[n] for n in NAMES], [-noise[n] for n in NAMES])
        assert rho is not None
        assert rho > 0.9
        assert one.trusted is not None
        assert one.trusted > 0.9
        assert DOUBTFUL not in one.notes
    assert gain > 0.02


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_where_who_answers_well_reviews_badly_weights_do_harm_and_say_so(name: str) -> None:
    learned, gain = learned_in(noises(aligned=False), LEARNERS[name])
    assert gain < -0.02
    assert all(DOUBTFUL in one.notes for one in learned)


@pytest.mark.parametrize("aligned", [True, False])
def test_siding_with_the_others_tells_reliability_whoever_answers_well(aligned: bool) -> None:
    noise = noises(aligned=aligned)
    for seed in SEEDS:
        past, _ = world(noise, seed)
        sided = agreements([review for question in past for review in question.reviews])
        rho = spearman([sided[name] for name in NAMES], [-noise[name] for name in NAMES])
        assert rho is not None
        assert rho > 0.9


def test_a_simulated_committee_recuses_itself_and_repeats() -> None:
    committee = Simulated(ABILITIES, noises(aligned=True))
    question = committee.ask("q", random.Random(0))
    assert question == committee.ask("q", random.Random(0))
    assert all(ballot.judge not in ballot.about and len(ballot.about) == 7 for ballot in question.ballots)
    assert {score for ballot in question.ballots for score in ballot.scores} <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert [review.reviewer for review in question.reviews] == list(NAMES)
    assert question.quality[question.best] == max(question.quality.values())


def test_who_reviews_without_noise_finds_the_best() -> None:
    committee = Simulated({name: n - 2.0 for n, name in enumerate("abcd")}, dict.fromkeys("abcd", 0.0), spread=0.0)
    question = committee.ask("q", random.Random(0))
    assert borda(question.ballots, tuple("abcd")).order == tuple("dcba")
