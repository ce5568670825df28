"""What learned reviewer weights are worth in committees whose truth is known, with equal weights as the peer.

    python benchmarks/reviewer_weights.py --write

Simulated members answer with a quality drawn about their ability and review with a noise of their own. Weights are
learned from some questions and used on others: how often does weighted normalised Borda put the best answer first?
Beside them stands weighing by the true noise, which no one knows.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coterie.ranking import normalised_borda
from coterie.reviewers import PRD, Learned, PiCO, Question, Simulated
from coterie.reviewers.learned import TRUSTED
from machine import setting

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks" / "reviewer_weights.md"

SPREAD = 0.8
ABILITY = 1.05
SHARP, DULL, MIDDLE = 0.3, 2.5, 1.0

WORLDS = {
    "aligned": "who answers better reviews better",
    "unrelated": "who reviews how well is drawn anew for each committee",
    "equal": "everybody reviews equally well",
    "opposed": "who answers better reviews worse",
}

INTRODUCTION = f"""\
# Reviewer weights in simulated committees

How often weighted normalised Borda puts the best answer first, on questions that no weight was learned from.
Abilities stand at equal steps from {-ABILITY} to {ABILITY}, answers scatter about them with {SPREAD}, reviewers add a
noise of {SHARP} to {DULL} at equal steps ({MIDDLE} where all are equal) and write scores from 1 to 5. Nobody reviews
its own answer. The peer is equal weights. "True noise" weighs each reviewer by 1 / (1 + its noise squared), which only
a simulation knows. "Published" is PRD divided by battles and not clamped; "60% out" is PiCO with elimination, not
clamped. "Where trusted" takes PRD's weights in committees whose `trusted` is at least {TRUSTED}, else equal ones.
"""


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    members: int
    committees: int
    learned: int
    """Questions that weights are learned from."""
    held_out: int


@dataclass(frozen=True)
class Outcome:
    """One committee: the share of questions whose best answer was found, by who weighed the reviewers."""

    shares: Mapping[str, float]
    trusted: float | None


def committee(world: str, members: int, rng: random.Random) -> Simulated:
    """The later the name, the better its answers."""
    names = [f"m{n:02}" for n in range(members)]
    steps = [n / (members - 1) for n in range(members)]
    noise = [DULL - (DULL - SHARP) * step for step in steps]
    match world:
        case "opposed":
            noise.reverse()
        case "unrelated":
            rng.shuffle(noise)
        case "equal":
            noise = [MIDDLE] * members
    abilities = {name: ABILITY * (2 * step - 1) for name, step in zip(names, steps, strict=True)}
    return Simulated(abilities, dict(zip(names, noise, strict=True)), SPREAD)


def found(questions: Sequence[Question], weights: Mapping[str, float]) -> float:
    hits = 0
    for question in questions:
        votes = [replace(ballot, weight=weights[ballot.judge]) for ballot in question.ballots]
        hits += normalised_borda(votes, tuple(question.quality)).best == question.best
    return hits / len(questions)


def outcome(world: str, size: Size, seed: int) -> Outcome:
    rng = random.Random(f"{world} {size.members} {seed}")
    simulated = committee(world, size.members, rng)
    asked = [simulated.ask(str(n), rng) for n in range(size.learned + size.held_out)]
    reviews = [review for question in asked[: size.learned] for review in question.reviews]
    future = asked[size.learned :]
    prd = PRD().learn(reviews, force=True)
    learned: dict[str, Learned] = {
        "PRD": prd,
        "PRD, published": PRD(divisor="battles", lowest=0.0).learn(reviews, force=True),
        "PiCO": PiCO().learn(reviews, force=True),
        "PiCO, 60% out": PiCO(eliminate=0.6, lowest=0.0).learn(reviews, force=True),
    }
    shares = {name: found(future, one.weights) for name, one in learned.items()}
    equal = found(future, dict.fromkeys(simulated.noise, 1.0))
    trusts = prd.trusted is not None and prd.trusted >= TRUSTED
    true = found(future, {name: 1 / (1 + noise**2) for name, noise in simulated.noise.items()})
    return Outcome(
        {"equal": equal, **shares, "where trusted": shares["PRD"] if trusts else equal, "true noise": true}, prd.trusted
    )


def rows(size: Size) -> Iterator[str]:
    for world in WORLDS:
        outcomes = [outcome(world, size, seed) for seed in range(size.committees)]
        base = [one.shares["equal"] for one in outcomes]
        cells = [f"{statistics.fmean(base):.1%}"]
        for name in list(outcomes[0].shares)[1:]:
            gains = [100 * (one.shares[name] - equal) for one, equal in zip(outcomes, base, strict=True)]
            margin = 1.96 * statistics.stdev(gains) / math.sqrt(len(gains))
            cells.append(f"{statistics.fmean(gains):+.1f} ± {margin:.1f}")
        trusts = sum(one.trusted is not None and one.trusted >= TRUSTED for one in outcomes)
        yield f"| {size.members} | {world} | {' | '.join(cells)} | {trusts} of {len(outcomes)} |"


def table(sizes: Sequence[Size]) -> Iterator[str]:
    names = ["PRD", "PRD, published", "PiCO", "PiCO, 60% out", "where trusted", "true noise"]
    yield f"| members | world | equal weights | {' | '.join(names)} | trusted |"
    yield f"|---:|---|---:|{'---:|' * len(names)}---:|"
    for size in sizes:
        yield from rows(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--committees", type=int, default=40)
    parser.add_argument("--learned", type=int, default=100, help="questions to learn from")
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="write the page in docs/benchmarks")
    chosen = parser.parse_args()
    sizes = [Size(members, chosen.committees, chosen.learned, chosen.held_out) for members in (4, 6, 10)]
    worlds = [f"- {name}: {said}" for name, said in WORLDS.items()]
    measured = list(table(sizes))
    told = (
        f"{chosen.committees} committees a row, {chosen.learned} questions to learn from, {chosen.held_out} to be "
        "found in. Gains are in points over equal weights, with 1.96 standard errors over committees."
    )
    lines = [INTRODUCTION, *worlds, "", *setting(), "- Command: `python benchmarks/reviewer_weights.py --write`", ""]
    page = "\n".join([*lines, told, "", *measured, ""])
    print(page)
    if chosen.write:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
