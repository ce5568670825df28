"""Data made ready for a comparison: which prompts and members take part, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from coterie.errors import ConfigError
from coterie.evaluation.routing.costs import Given
from coterie.evaluation.routing.ground import Ground, Pair, complete, ground_of, likely_pair
from coterie.evaluation.routing.samples import FOR_ROUTERS
from coterie.evaluation.significance import Bootstrap
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.outcomes.split import held_out
from coterie.training.routing.trial import Trial, by_folds, by_test
from coterie.types import Price


@dataclass(frozen=True)
class Wanted:
    """What is to be compared on what."""

    folds: int = 5
    held_out: float | None = None
    """The share of prompts that is measured on instead of folds, as training sets it aside."""
    weak: str | None = None
    strong: str | None = None
    """Two members are compared as a pair, by the share of calls; so are data of two, unless `members` are named."""
    members: tuple[str, ...] = ()
    """A pool of these, by quality and cost; of all members of the data where none is named."""
    groups: tuple[str, ...] = ()
    """Only prompts of these groups: ``mmlu`` takes ``mmlu/anatomy`` too."""
    usd: Mapping[str, float] = field(default_factory=dict)
    """Of a query, by member, where the data do not say it."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """USD per million tokens, by member, where the data say tokens and no cost."""
    bootstrap: Bootstrap = FOR_ROUTERS

    def __post_init__(self) -> None:
        if (self.weak is None) != (self.strong is None):
            raise ConfigError("a pair has a weak member and a strong one: name both, or neither")
        if self.weak is not None and self.members:
            raise ConfigError("name a pair, or the members of a pool: not both")


@dataclass(frozen=True, eq=False)
class Ready:
    """What a comparison begins with."""

    trial: Trial
    ground: Ground
    notes: tuple[str, ...]
    """What was left out, and why."""


def ready(lessons: Lessons, test: Lessons | None, wanted: Wanted) -> Ready:
    """The trial and the ground. `test`: measured instead of a part of `lessons`.

    Raises `ConfigError` where there is nothing to measure, and for a prompt that is both learned from and measured.
    """
    pair = None if wanted.weak is None or wanted.strong is None else Pair(wanted.weak, wanted.strong)
    members = wanted.members if pair is None else (pair.weak, pair.strong)
    learned, measured = _sides(_chosen(lessons, members, wanted.groups), test, members, wanted)
    known, dropped = complete(measured)
    if pair is None and not wanted.members and len(known.members) == 2:
        pair = likely_pair(known)
    ground = ground_of(known, pair, Given(wanted.usd, wanted.prices), wanted.bootstrap)
    if test is None and wanted.held_out is None:
        trial = by_folds(learned, ground.outcomes, wanted.folds)
    else:
        trial = by_test(learned, ground.outcomes)
    if wanted.held_out is not None:
        trial = replace(trial, how=f"measured on the {wanted.held_out:g} of the prompts that are held out")
    return Ready(trial, replace(ground, folds=trial.folds), tuple(_notes(known, dropped)))


def _sides(lessons: Lessons, test: Lessons | None, members: Sequence[str], wanted: Wanted) -> tuple[Lessons, Outcomes]:
    if test is not None:
        measured = _chosen(test, members or lessons.members, wanted.groups).outcomes
    elif wanted.held_out is not None:
        sides = held_out(lessons, wanted.held_out)
        lessons, measured = sides.learned, sides.measured.outcomes
    else:
        measured = lessons.outcomes
    if measured is None:
        raise ConfigError(
            "routers are measured on outcomes, and there are none: battles do not say what answers were worth"
        )
    return lessons, measured


def _chosen(lessons: Lessons, members: Sequence[str], groups: Sequence[str]) -> Lessons:
    """The columns and rows that take part. Battles belong to no group."""
    chosen = lessons.of(members) if members else lessons
    outcomes = None if chosen.outcomes is None else _of_groups(chosen.outcomes, groups)
    return Lessons(outcomes, chosen.battles)


def _of_groups(outcomes: Outcomes, groups: Sequence[str]) -> Outcomes:
    if not groups:
        return outcomes
    rows = [n for n, name in enumerate(outcomes.groups) if any(name == g or name.startswith(f"{g}/") for g in groups)]
    if not rows:
        there = ", ".join(sorted({name.partition("/")[0] or "(none)" for name in outcomes.groups})) or "none"
        raise ConfigError(f"no prompt is of the groups {list(groups)!r}: those of the data are {there}")
    return outcomes.rows(rows)


def _notes(outcomes: Outcomes, dropped: int) -> list[str]:
    if not dropped:
        return []
    return [
        f"{dropped} of {len(outcomes) + dropped} prompts are not measured on, since a member's score is unknown there; "
        "routers may learn from them"
    ]
