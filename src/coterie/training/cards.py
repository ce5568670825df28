"""What a trained ranker says of itself: `card.json` for programs, `README.md` for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coterie.examples import Example
from coterie.training import card_parts
from coterie.training.corpus import Data
from coterie.training.ready import Ready
from coterie.training.settings import AnyTraining
from coterie.types import Json

TITLES = {
    "pairranker": "A pair ranker",
    "pointwise": "A pointwise ranker",
    "simcls": "A SimCLS ranker",
    "summareranker": "A SummaReranker",
}

OPENED_BY = {
    "pairranker": "pair_ranker",
    "pointwise": "pointwise",
    "simcls": "simcls",
    "summareranker": "summareranker",
}
"""The judge that opens each kind, by its name in the registry."""


@dataclass(frozen=True)
class Course:
    """How a training went."""

    steps: int
    """Updates made; of them the best measured one was kept."""
    best_step: int | None
    seconds: float
    """Of this run, from reading the data to the last measurement; what was before it was resumed is not in it."""
    resumed_at: int | None
    device: str
    precision: str
    padding: float
    """Share of the tokens read that was padding."""
    cut: float
    """Share of the examples of which some text did not fit."""


def card(
    settings: AnyTraining, data: Data, ready: Ready, course: Course, measurements: Mapping[str, Json]
) -> dict[str, Json]:
    """Everything there is to say, as plain data."""
    return {
        "kind": settings.kind,
        "base": card_parts.shown_name(settings.base),
        "data": {
            **card_parts.told_files(data),
            "examples": _counts(ready),
            "left_out": {reason: n for reason, n in ready.left_out.items() if n},
        },
        "settings": json.loads(json.dumps(asdict(settings))) | {"base": card_parts.shown_name(settings.base)},
        "course": asdict(course),
        "measurements": dict(measurements),
        "versions": card_parts.versions(),
    }


def save(made: Mapping[str, Any], folder: Path) -> None:
    """Afterwards `folder` holds `card.json` and `README.md`."""
    card_parts.save(made, readme(made), folder)


def readme(made: Mapping[str, Any]) -> str:
    """The card as a page."""
    course = made["course"]
    return card_parts.page(
        f"# {TITLES[made['kind']]}, trained from {made['base']}",
        f"Opened by Coterie's judge `{OPENED_BY[made['kind']]}` (`model:` this folder).",
        "## Held-out prompts",
        "No prompt was both learned from and measured. Pairwise accuracy, with Wilson's 95 % interval as if pairs were "
        "independent; beside it what a ranker has to beat: always the longer answer, always the first shown, chance.",
        _table(made["measurements"]),
        "## Data",
        card_parts.licences(made),
        card_parts.table(
            ("origin", "labels", "learned", "measured"), [row.values() for row in made["data"]["examples"]]
        ),
        card_parts.reasons("Left out", made["data"]["left_out"]),
        "## Training",
        f"{course['steps']} {card_parts.course(made)}; kept: update {course['best_step']}. {course['padding']:.0%} of "
        f"the tokens read were padding; in {course['cut']:.0%} of the examples some text was too long and cut.",
        card_parts.settings_table(made),
        card_parts.made_with(made),
    )


def _counts(ready: Ready) -> list[dict[str, Json]]:
    learned, measured = (Counter(_group(p.example) for p in side) for side in (ready.train, ready.dev))
    return [
        {"origin": origin, "labels": label, "learned": learned[origin, label], "measured": measured[origin, label]}
        for origin, label in sorted(learned | measured)
    ]


def _group(example: Example) -> tuple[str, str]:
    return example.origin or "unknown", example.label or "unknown"


def _table(measurements: Mapping[str, Any]) -> str:
    rows = [_row("all", measurements["all"])]
    for heading in ("label", "origin"):
        rows += [_row(f"{heading} {name}", found) for name, found in measurements[f"by_{heading}"].items()]
    return card_parts.table(
        ("prompts of", "pairs", "ranker", "95 %", "longer", "constant", "chance", "best of N"), rows
    )


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
    ranker = found["ranker"]
    interval = ranker["pairwise_accuracy_95"]
    between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    others = [_shown(found[rival]["pairwise_accuracy"]) for rival in ("longer", "constant", "chance")]
    pairs = str(ranker["pairs"])
    return [name, pairs, _shown(ranker["pairwise_accuracy"]), between, *others, _shown(ranker["best_of_n_accuracy"])]


def _shown(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"
