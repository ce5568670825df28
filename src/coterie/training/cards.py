"""What a trained ranker says of itself: `card.json` for programs, `README.md` for people."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from coterie._version import __version__
from coterie.examples import Example
from coterie.training.corpus import Data
from coterie.training.ready import Ready
from coterie.training.settings import AnyTraining
from coterie.types import Json

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")

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
        "base": shown_name(settings.base),
        "data": {
            "files": [asdict(file) | {"name": shown_name(file.name)} for file in data.files],
            "held_out": {"file": shown_name(data.dev)} if data.dev else {"share_of_prompts": data.held_out},
            "examples": _counts(ready),
            "left_out": {reason: n for reason, n in ready.left_out.items() if n},
        },
        "settings": json.loads(json.dumps(asdict(settings))) | {"base": shown_name(settings.base)},
        "course": asdict(course),
        "measurements": dict(measurements),
        "versions": {"coterie": __version__, "python": platform.python_version(), **_versions()},
    }


def save(made: Mapping[str, Any], folder: Path) -> None:
    """Afterwards `folder` holds `card.json` and `README.md`."""
    (folder / "card.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(made), encoding="utf-8")


def readme(made: Mapping[str, Any]) -> str:
    """The card as a page."""
    course = made["course"]
    parts = [
        f"# {TITLES[made['kind']]}, trained from {made['base']}",
        f"Opened by Coterie's judge `{OPENED_BY[made['kind']]}` (`model:` this folder"
        + (", `keep: end`)." if made["settings"]["keep"] == "end" else ")."),
        "## Held-out prompts",
        "No prompt was both learned from and measured. Pairwise accuracy, with Wilson's 95 % interval as if pairs were "
        "independent; beside it what a ranker has to beat: always the longer answer, always the first shown, chance.",
        _table(made["measurements"]),
        "## Data",
        "\n".join(f"- {file['name']}: licence {file['licence']}" for file in made["data"]["files"]),
        _lines(("origin", "labels", "learned", "measured"), [row.values() for row in made["data"]["examples"]]),
        _left_out(made["data"]["left_out"]),
        "## Training",
        f"{course['steps']} updates in {course['seconds']:.0f} s on {course['device']} in {course['precision']}"
        + (f", resumed at update {course['resumed_at']}" if course["resumed_at"] else "")
        + f"; kept: update {course['best_step']}. {course['padding']:.0%} of the tokens read were padding; in "
        f"{course['cut']:.0%} of the examples some text was too long and cut.",
        _lines(("setting", "value"), ((name, _words(value)) for name, value in made["settings"].items())),
        "Made with " + ", ".join(f"{name} {number}" for name, number in made["versions"].items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def shown_name(name: str) -> str:
    """A hub's name as it is; of a local file or folder its own name alone."""
    return Path(name).name if Path(name).expanduser().exists() else name


def _counts(ready: Ready) -> list[dict[str, Json]]:
    learned, measured = (Counter(_group(p.example) for p in side) for side in (ready.train, ready.dev))
    return [
        {"origin": origin, "labels": label, "learned": learned[origin, label], "measured": measured[origin, label]}
        for origin, label in sorted(learned | measured)
    ]


def _group(example: Example) -> tuple[str, str]:
    return example.origin or "unknown", example.label or "unknown"


def _versions() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _left_out(reasons: Mapping[str, int]) -> str:
    return "Left out: " + ", ".join(f"{n} {reason}" for reason, n in reasons.items()) + "." if reasons else ""


def _table(measurements: Mapping[str, Any]) -> str:
    rows = [_row("all", measurements["all"])]
    for heading in ("label", "origin"):
        rows += [_row(f"{heading} {name}", found) for name, found in measurements[f"by_{heading}"].items()]
    return _lines(("prompts of", "pairs", "ranker", "95 %", "longer", "constant", "chance", "best of N"), rows)


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
    ranker = found["ranker"]
    interval = ranker["pairwise_accuracy_95"]
    between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    others = [_shown(found[rival]["pairwise_accuracy"]) for rival in ("longer", "constant", "chance")]
    pairs = str(ranker["pairs"])
    return [name, pairs, _shown(ranker["pairwise_accuracy"]), between, *others, _shown(ranker["best_of_n_accuracy"])]


def _shown(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def _lines(headings: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    cells = [headings, ["---"] * len(headings), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
