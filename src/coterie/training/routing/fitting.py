"""Training a router, from files of outcomes or battles to a folder that the part `trained` opens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.outcomes.lines import Watch, silent
from coterie.outcomes.outcome import Lessons
from coterie.outcomes.reading import read
from coterie.outcomes.split import Sides, apart, by_source, held_out
from coterie.routers import artifact
from coterie.routers.artifact import About
from coterie.routers.spending import Spending
from coterie.training.corpus import Data
from coterie.training.routing import cards, measuring, seen
from coterie.training.routing.comparing import TextVectors, lesson_vectors
from coterie.types import Json, Price

if TYPE_CHECKING:
    from coterie.protocols import Encoder
    from coterie.routers.forecast import Fitted, Recipe


@dataclass(frozen=True)
class RouterData:
    """What to learn from and what to measure on."""

    data: Data
    """Files of outcomes, battles or traces; a file to measure on, or the share of prompts that is held out for it."""
    feedback: tuple[str, ...] = ()
    """Files of feedback on the runs whose traces are among the data."""
    source_split: str | None = None
    """Measure on the prompts that their own files put on this side, instead of a share."""
    members: tuple[str, ...] = ()
    """Only these; all of the data where there are none."""

    def __post_init__(self) -> None:
        if self.data.dev is not None and self.source_split is not None:
            raise ConfigError("name a file to measure on, or the files' own split: not both")
        if len(set(self.members)) < len(self.members):
            raise ConfigError(f"each member is named once, unlike in {list(self.members)!r}")


@dataclass(frozen=True)
class RouterTask:
    """A training, before anything is read."""

    recipe: Recipe
    data: RouterData
    out: Path
    """The artifact's folder."""
    encoder: Encoder | None = None
    """What makes vectors, for a router that reads some."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """USD per million tokens, by member, where they are known."""


@dataclass(frozen=True, eq=False)
class Material:
    """The data, read and split."""

    sides: Sides
    left_out: Counter[str]
    """What was not taken from the files, by the reason."""

    @property
    def members(self) -> tuple[str, ...]:
        return self.sides.learned.members


def train(task: RouterTask, watch: Watch = silent) -> dict[str, Json]:
    """The card of the router that then lies in `task.out`, whole; where anything is raised, nothing lies there.

    What is measured is the router as its folder opens, on prompts that it has not learned from. Raises `ConfigError`
    for data that it cannot learn from or be measured on, for a prompt that is on both sides, and for a folder that is
    taken; `MissingExtra` where the kind needs what is not installed.
    """
    began = time.monotonic()
    artifact.check_free(task.out.expanduser().absolute())
    material = gathered(task.data, watch)
    _check_prices(task.prices, material.members)
    vectors = TextVectors(task.encoder, watch)
    fitted = _fitted(task.recipe, material.sides.learned, vectors, watch)
    fit_s = time.monotonic() - began
    with artifact.whole(task.out) as folder:
        about = _about(task, material.sides.learned)
        artifact.write(fitted, folder, about)
        seen.keep(folder, _prompts(material.sides.learned))
        opened = artifact.opened(folder)
        found = measuring.measured(opened, material.sides, vectors, watch)
        course = cards.Course(round(fit_s, 3), round(time.monotonic() - began, 3))
        made = cards.card(task, material, about, found, course)
        cards.save(made, folder)
    return made


def gathered(data: RouterData, watch: Watch = silent) -> Material:
    """The data, read and split. Raises `ConfigError` where a side is empty, or a prompt stands on both."""
    found = read([file.name for file in data.data.files], data.feedback, watch)
    lessons = found.lessons.of(data.members) if data.members else found.lessons
    sides = _split(lessons, data, watch)
    for side, what in ((sides.learned, "to learn from"), (sides.measured, "to measure on")):
        if side.outcomes is None and side.battles is None:
            raise ConfigError(f"there is nothing {what}: take another share (held_out), or name a file to measure on")
    return Material(sides, found.left_out)


def _split(lessons: Lessons, data: RouterData, watch: Watch) -> Sides:
    if data.data.dev is not None:
        measured = read([data.data.dev], watch=watch).lessons
        return apart(lessons, measured.of(data.members) if data.members else measured)
    if data.source_split is not None:
        return by_source(lessons, data.source_split)
    return held_out(lessons, data.data.held_out)


def _fitted(recipe: Recipe, lessons: Lessons, vectors: TextVectors, watch: Watch) -> Fitted:
    members = lessons.members
    if len(members) < 2:
        raise ConfigError(f"a router chooses among members, and the data know but {list(members)!r}")
    if not recipe.learns_from & {name for name in ("outcomes", "battles") if getattr(lessons, name) is not None}:
        raise ConfigError(
            f"a router of the kind {recipe.kind!r} learns from {' or '.join(sorted(recipe.learns_from))}, and the data "
            "hold none"
        )
    return recipe.fit(lessons, lesson_vectors(recipe, lessons, vectors), watch)


def _about(task: RouterTask, learned: Lessons) -> About:
    spending = Spending() if learned.outcomes is None else Spending.of(learned.outcomes)
    reads_vectors = task.recipe.reads in ("vectors", "both")
    return About(task.encoder if reads_vectors else None, task.prices, spending)


def _check_prices(prices: Mapping[str, Price], members: tuple[str, ...]) -> None:
    if strange := [member for member in prices if member not in members]:
        raise ConfigError(f"a price is given for {strange[0]!r}, which is none of the members {list(members)!r}")


def _prompts(lessons: Lessons) -> list[str]:
    return [prompt for part in (lessons.outcomes, lessons.battles) if part is not None for prompt in part.prompts]
