"""What a trained fuser says of itself: `card.json` for programs, `README.md` for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coterie.errors import ConfigError
from coterie.fusers.generative.prompt import Style
from coterie.training import card_parts
from coterie.training.corpus import Data
from coterie.training.fusing_lessons import Lesson, Lessons
from coterie.training.fusing_settings import FuserTraining
from coterie.types import Json

KIND = "fuser"


@dataclass(frozen=True)
class Losses:
    """Mean loss of a target token (nats) on the prompts set aside."""

    before: float
    """Of the base as it was."""
    after: float
    """Of what was saved."""
    constant: float
    """Of whoever says every token as often as the learned targets hold it, whatever the prompt."""
    tokens: int
    """Target tokens that were measured."""


@dataclass(frozen=True)
class Course:
    """How a training went."""

    losses: Losses
    style: Style
    updates: int
    best_update: int
    """The update whose weights were kept."""
    resumed_at: int | None
    cut: Mapping[str, int]
    """What did not fit, on both sides."""
    seconds: float
    """Of this run; what was before it was resumed is not in it."""
    device: str
    precision: str
    for_llama_cpp: bool = False
    """True where an adapter lies there as llama.cpp reads it too."""


def card(settings: FuserTraining, data: Data, lessons: Lessons, course: Course) -> dict[str, Json]:
    """Everything there is to say, as plain data; no path of this machine is in it."""
    told = asdict(course)
    losses = told.pop("losses")
    return {
        "kind": KIND,
        "base": settings.said_base,
        "adapter": settings.lora,
        "for_llama_cpp": told.pop("for_llama_cpp"),
        "style": told.pop("style"),
        "data": {
            **card_parts.told_files(data),
            "examples": _counts(lessons.train, lessons.dev),
            "chosen_by": lessons.chooser,
            "targets_among_the_candidates": _share_of_copies(lessons.train),
            "left_out": dict(lessons.left_out),
            "cut": told.pop("cut"),
            "notes": list(lessons.notes),
        },
        "settings": _settings(settings),
        "course": told,
        "measurements": {"held_out_loss": losses},
        "versions": card_parts.versions("peft"),
    }


def _settings(settings: FuserTraining) -> dict[str, Json]:
    in_force = {"base": settings.said_base, "learning_rate": settings.highest_rate, "targets": list(settings.targets)}
    return asdict(settings) | in_force


def save(made: Mapping[str, Any], folder: Path) -> None:
    """Afterwards `folder` holds `card.json` and `README.md`."""
    card_parts.save(made, readme(made), folder)


def load(folder: Path) -> dict[str, Any]:
    """The card of the fuser in a folder. Raises `ConfigError` where there is none."""
    try:
        made: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(folder)!r} holds no card that can be read: {error}") from error
    kind = made.get("kind") if isinstance(made, dict) else None
    if kind != KIND:
        raise ConfigError(f"{str(folder)!r} holds the card of a {kind!r}, not of a fuser")
    return made


def add_worth(folder: Path, worth: Mapping[str, Json], page: str) -> None:
    """Afterwards the card in `folder` also tells what fusing with it is worth; what it told before is replaced.

    `page` is the same for people, in Markdown. Raises `ConfigError` where there is no fuser's card.
    """
    made = load(folder)
    made["measurements"]["fusing"] = dict(worth)
    made["measurements"]["fusing_page"] = page
    save(made, folder)


# ---- for people -------------------------------------------------------------------------------


def readme(made: Mapping[str, Any]) -> str:
    """The card as a page."""
    course, data = made["course"], made["data"]
    what = "An adapter that fuses" if made["adapter"] else "A fuser"
    fusing = made["measurements"].get("fusing_page")
    return card_parts.page(
        f"# {what}, trained from {made['base']}",
        _opened_by(made),
        "## What it is worth" if fusing else "",
        fusing or "",
        "## Held-out prompts",
        "No prompt was both learned from and measured. Mean loss of a reference's token, in nats; less is better. The "
        "constant says every token as often as the learned references hold it.",
        _loss_table(made["measurements"]["held_out_loss"]),
        "## Data",
        card_parts.licences(made),
        card_parts.table(("origin", "learned", "measured"), [row.values() for row in data["examples"]]),
        _of_data(made),
        "## Training",
        f"{course['updates']} {card_parts.course(made)}; kept: update {course['best_update']}. The prompt is the one "
        f"that inference makes (style `{made['style']}`), without an end-of-sequence token behind it; the loss is on "
        "the reference alone.",
        card_parts.settings_table(made),
        card_parts.made_with(made),
    )


def _opened_by(made: Mapping[str, Any]) -> str:
    if not made["adapter"]:
        return f"Opened by Coterie's fuser `generative` (`model:` this folder, `style: {made['style']}`)."
    return (
        f"Opened by Coterie's fuser `generative` (`model:` {made['base']}, as a hub name, a folder or a GGUF file; "
        f"`adapter:` this folder; `style: {made['style']}`). Weights of an adapter alone are in here."
        + (
            " A `llama_cpp` member takes it too (`adapter:` this folder), and the fuser then asks that `member:`."
            if made["for_llama_cpp"]
            else ""
        )
    )


def _of_data(made: Mapping[str, Any]) -> str:
    data = made["data"]
    said = [
        f"Candidates were chosen by {data['chosen_by']}.",
        f"In {data['targets_among_the_candidates']:.1%} of the learned examples the reference is itself a candidate.",
        card_parts.reasons("Left out", data["left_out"]),
        card_parts.reasons("Too long and cut", data["cut"]),
        *(f"Note: {note}." for note in data["notes"]),
    ]
    return " ".join(part for part in said if part)


def _loss_table(losses: Mapping[str, Any]) -> str:
    row = (f"{losses[name]:.4f}" for name in ("after", "before", "constant"))
    return card_parts.table(("fuser", "base before training", "constant", "tokens"), [(*row, str(losses["tokens"]))])


# ---- counting ---------------------------------------------------------------------------------


def _counts(train: Sequence[Lesson], dev: Sequence[Lesson]) -> list[dict[str, Json]]:
    learned, measured = (Counter(lesson.origin or "unknown" for lesson in side) for side in (train, dev))
    return [
        {"origin": origin, "learned": learned[origin], "measured": measured[origin]}
        for origin in sorted(learned | measured)
    ]


def _share_of_copies(lessons: Sequence[Lesson]) -> float:
    return round(sum(lesson.copies for lesson in lessons) / max(1, len(lessons)), 4)
