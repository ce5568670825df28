"""Members change while learners serve: what feedback is worth, against a fixed choice and against hearing nothing.

A scripted world: two subjects, three members, and half-way their strengths change. Each round a learner foretells, a
decision chooses, and what is said of the answer goes into the learner's journal, as in a committee. What counts is the
mean quality of the chosen members over the last third of the rounds, paired by seed: a difference is stated where the
lower end of its one-sided 99 % interval (Student's t over seeds) is above 0.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
from learning_bench import Words, bench

from coterie.decisions import Best, Explore, Optimistic, Sample
from coterie.prospects import Feedback, Lesson, Routed
from coterie.protocols import Decision, Learner
from coterie.routers.eagle_learner import Eagle
from coterie.routers.metallm import MetaLLM
from coterie.routers.pickllm import PickLLM
from coterie.types import Request

MEMBERS = ("a", "b", "c")
SUBJECTS = {"sums": "add divide count root", "poems": "rhyme verse stanza ode"}
BEFORE = {"sums": (0.9, 0.3, 0.5), "poems": (0.4, 0.8, 0.5)}
AFTER = {"sums": (0.2, 0.4, 0.9), "poems": (0.3, 0.2, 0.8)}
ROUNDS, CHANGE, LAST, WORDS = 180, 90, 60, 4
SEEDS = range(8)
T_99 = 2.998
"""Of Student's t with seven degrees of freedom."""

Says = Callable[[str, Sequence[float], random.Random], Feedback]
"""What somebody says of a member's answer, who knows how good each member is."""


def rates(chosen: str, quality: Sequence[float], rng: random.Random) -> Feedback:
    """A thumb up or down."""
    return Feedback(rating=float(rng.random() < quality[MEMBERS.index(chosen)]))


def compares(chosen: str, quality: Sequence[float], rng: random.Random) -> Feedback:
    """Which is better, the answer or that of another member that is drawn."""
    other = rng.choice([member for member in MEMBERS if member != chosen])
    good, rival = (rng.random() < quality[MEMBERS.index(member)] for member in (chosen, other))
    first, second = (chosen, other) if good >= rival else (other, chosen)
    return Feedback(preferred=first, over=second, tie=good == rival)


def tosses_a_coin(chosen: str, _quality: Sequence[float], rng: random.Random) -> Feedback:
    """Feedback that has nothing to do with the answer."""
    other = rng.choice([member for member in MEMBERS if member != chosen])
    first, second = rng.sample((chosen, other), 2)
    return Feedback(rating=float(rng.random() < 0.5), preferred=first, over=second)


@dataclass(frozen=True)
class Player:
    """A learner under a decision, and how its users speak."""

    learner: Learner
    decision: Decision
    says: Says


METALLM = Player(MetaLLM(encoder=Words(32), ridge=0.5, discount=0.95), Optimistic(0.4), rates)
Q_LEARNING = Player(PickLLM(rule="q_learning", step=0.15), Explore(0.15), rates)
EAGLE = Player(Eagle(encoder=Words(32), ratings="final"), Best(), compares)
REWARD_INACTION = Player(PickLLM(step=0.3), Sample(), rates)


@cache
def played(player: Player, seed: int, heard: Says | None) -> float:
    """Mean quality of whom it chose in the last third of the rounds."""
    rng = random.Random(f"{seed}:questions")
    decisions, words = random.Random(f"{seed}:decisions"), random.Random(f"{seed}:feedback")
    earned = []

    async def main() -> None:
        async with bench() as at:
            run = at.run(members=MEMBERS)
            for number in range(ROUNDS):
                subject = rng.choice(list(SUBJECTS))
                text = " ".join(rng.choices(SUBJECTS[subject].split(), k=WORDS))
                quality = (BEFORE if number < CHANGE else AFTER)[subject]
                request = Request.of(text)
                said = await player.learner.forecast(request, MEMBERS, run)
                chosen = player.decision.choose(said, decisions).order[0]
                earned.append(quality[MEMBERS.index(chosen)])
                if heard is not None:
                    features = await player.learner.features(request, run)
                    lesson = Lesson(Routed("m", "j", (chosen,), features), heard(chosen, quality, words))
                    await at.store.journals.append(player.learner.journal, player.learner.entries(lesson))

    asyncio.run(main())
    return statistics.fmean(earned[-LAST:])


def last_qualities(seed: int) -> list[tuple[float, ...]]:
    """How good each member is on the questions of the last third."""
    rng = random.Random(f"{seed}:questions")
    asked: list[tuple[float, ...]] = []
    for _ in range(ROUNDS):
        asked.append(AFTER[rng.choice(list(SUBJECTS))])
        rng.choices(MEMBERS, k=WORDS)  # the words, which are drawn from the same numbers
    return asked[-LAST:]


def fixed(seed: int) -> float:
    """The same for whoever always takes the member that was the best on the whole before the change."""
    best = max(range(3), key=lambda place: sum(quality[place] for quality in BEFORE.values()))
    return statistics.fmean(quality[best] for quality in last_qualities(seed))


def anybody(seed: int) -> float:
    """The same for whoever draws a member for each question."""
    return statistics.fmean(statistics.fmean(quality) for quality in last_qualities(seed))


def surely_better(one: Sequence[float], other: Sequence[float]) -> bool:
    """The statement: true where it can be made of these seeds."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.fmean(differences) - T_99 * error > 0


@pytest.mark.parametrize("player", [METALLM, Q_LEARNING, EAGLE], ids=["metallm", "q_learning", "eagle"])
def test_feedback_makes_a_learner_better_than_a_fixed_choice_and_than_none(player: Player) -> None:
    heard = [played(player, seed, player.says) for seed in SEEDS]
    assert surely_better(heard, [fixed(seed) for seed in SEEDS])
    assert surely_better(heard, [anybody(seed) for seed in SEEDS])
    assert surely_better(heard, [played(player, seed, None) for seed in SEEDS])


def test_feedback_that_has_nothing_to_do_with_the_answer_is_not_stated_to_help() -> None:
    noise = [played(METALLM, seed, tosses_a_coin) for seed in SEEDS]
    assert not surely_better(noise, [anybody(seed) for seed in SEEDS])
    assert surely_better([played(METALLM, seed, rates) for seed in SEEDS], noise)


def test_what_never_fades_follows_more_slowly() -> None:
    lasting = replace(METALLM, learner=replace(METALLM.learner, discount=1.0))  # type: ignore[type-var]
    fading = [played(METALLM, seed, rates) for seed in SEEDS]
    assert surely_better(fading, [played(lasting, seed, rates) for seed in SEEDS])


def test_reward_inaction_rests_and_does_not_follow() -> None:
    """What comes to rest before the change cannot be stated to do better than the fixed choice after it."""
    heard = [played(REWARD_INACTION, seed, rates) for seed in SEEDS]
    assert not surely_better(heard, [fixed(seed) for seed in SEEDS])
