"""What the cards of all trained parts have in common: how data and versions are told, and a page's tables and words."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from coterie._version import __version__
from coterie.training.corpus import Data
from coterie.types import Json

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")


def save(made: Mapping[str, Any], page: str, folder: Path) -> None:
    """Afterwards `folder` holds the card as `card.json`, and its page as `README.md`."""
    (folder / "card.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page, encoding="utf-8")


# ---- what a card says -------------------------------------------------------------------------


def told_files(data: Data) -> dict[str, Json]:
    """The files learned from, with their licences, and what was held out; no path of this machine is in it."""
    return {
        "files": [asdict(file) | {"name": shown_name(file.name)} for file in data.files],
        "held_out": {"file": shown_name(data.dev)} if data.dev else {"share_of_prompts": data.held_out},
    }


def shown_name(name: str) -> str:
    """A hub's name as it is; of a local file or folder its own name alone."""
    return Path(name).name if Path(name).expanduser().exists() else name


def versions(*more: str) -> dict[str, Json]:
    """Of this package, of Python, and of the libraries that every training uses, and of `more`, where installed."""
    found: dict[str, Json] = {"coterie": __version__, "python": platform.python_version()}
    for name in (*LIBRARIES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# ---- what its page says -----------------------------------------------------------------------


def page(*parts: str) -> str:
    """The parts that are not empty, as paragraphs of Markdown."""
    return "\n\n".join(part for part in parts if part) + "\n"


def licences(made: Mapping[str, Any]) -> str:
    """The files of a card's data, with their licences, as a list."""
    return "\n".join(f"- {file['name']}: licence {file['licence']}" for file in made["data"]["files"])


def course(made: Mapping[str, Any]) -> str:
    """How long it took, and where, without the sentence's end."""
    told = made["course"]
    resumed = f", resumed at update {told['resumed_at']}" if told["resumed_at"] else ""
    return f"updates in {told['seconds']:.0f} s on {told['device']} in {told['precision']}{resumed}"


def settings_table(made: Mapping[str, Any]) -> str:
    """Every setting and its value."""
    return table(("setting", "value"), ((name, _words(value)) for name, value in made["settings"].items()))


def made_with(made: Mapping[str, Any]) -> str:
    """The versions, as a sentence."""
    return "Made with " + ", ".join(f"{name} {number}" for name, number in made["versions"].items()) + "."


def reasons(what: str, counted: Mapping[str, int]) -> str:
    """How often each reason held, as a sentence; nothing where there is none."""
    return f"{what}: " + ", ".join(f"{n} {reason}" for reason, n in counted.items()) + "." if counted else ""


def table(headings: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    cells = [headings, ["---"] * len(headings), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
