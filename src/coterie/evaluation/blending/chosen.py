"""Answers side by side, chosen by a rule: where the best blend gains and loses most over the best single member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.rows import Place, Question, Row, Variant
from coterie.evaluation.blending.telling import best_challenger
from coterie.evaluation.blending.versus import Rivals

EACH_WAY = 3
"""Examples of gains, and as many of losses."""


@dataclass(frozen=True)
class Answer:
    """What one method answered."""

    name: str
    row: Row
    quality: float | None
    marked: bool = False
    """True for the two that the example is about."""


@dataclass(frozen=True)
class Example:
    """A question with all answers that are worth reading together."""

    question: Question
    gain: float
    rival: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Chosen:
    """Examples, and by what rule they are these."""

    rule: str
    examples: tuple[Example, ...] = ()


def choose(measured: Measured, rivals: Rivals | None, each_way: int = EACH_WAY) -> Chosen:
    """Gains first, the largest first; then losses, the largest first."""
    method = best_challenger(measured, rivals.measure) if rivals else None
    if rivals is None or method is None:
        return Chosen("There are no examples: they need a blend or a selection whose quality was measured.")
    gains = sorted(_gains(measured, rivals, method), key=lambda of: -rivals.measure.better(of[1]))
    won = [of for of in gains if rivals.measure.better(of[1]) > 0]
    lost = [of for of in reversed(gains) if rivals.measure.better(of[1]) < 0]
    picked = [*_apart(won, each_way), *_apart(lost, each_way)]
    rule = (
        f"Up to {each_way} questions on which {measured.names[method]}, the best of those that blend or select, gains "
        f"most over its data set's best single member by {rivals.measure.heading}, then up to {each_way} on which it "
        "loses most; of a conversation at most one of either."
    )
    return Chosen(rule, tuple(_example(measured, rivals, method, *of) for of in picked))


def _gains(measured: Measured, rivals: Rivals, method: Variant) -> Iterator[tuple[Place, float, str]]:
    """Each question with what the method gains on it, and over whom."""
    singles = {measured.names[single]: single for single in measured.of_kind("single")}
    ours = dict(zip(measured.places, measured.quality(method, rivals.measure), strict=True))
    for part in measured.datasets:
        verdict = rivals.over_best_single(method, part)
        if verdict is None:
            continue
        theirs = dict(zip(measured.places, measured.quality(singles[verdict.rival], rivals.measure), strict=True))
        for place in measured.places_of(part):
            a, b = ours[place], theirs[place]
            if a is not None and b is not None:
                yield place, a - b, verdict.rival


def _apart(found: Sequence[tuple[Place, float, str]], most: int) -> list[tuple[Place, float, str]]:
    """The first of each conversation, so many at most."""
    first = {of[0][:2]: of for of in reversed(found)}
    return [of for of in found if first[of[0][:2]] is of][:most]


def _example(measured: Measured, rivals: Rivals, method: Variant, place: Place, gain: float, rival: str) -> Example:
    question = measured.recorded.questions.get(place) or Question(*place, text="")
    answers = []
    for variant in (*measured.of_kind("single"), method):
        row = measured.at(variant, place)
        if row is not None:
            name = measured.names[variant]
            marked = name == rival or variant == method
            answers.append(Answer(name, row, row.quality.get(rivals.measure.name), marked))
    return Example(question, gain, rival, tuple(answers))
