"""A table of rankers on the screen and in a folder, with how it was made."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from coterie.cli import screen
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coterie.evaluation.asking import Asked, Ruled
    from coterie.evaluation.table import Table
    from coterie.types import Json


@dataclass(frozen=True)
class How:
    """How a table was made."""

    data: str
    held_out: float | None
    limit: int | None
    seed: int
    judges: tuple[dict[str, Any], ...]

    @property
    def sentences(self) -> list[str]:
        drawn_of = f", at most {self.limit} of them, drawn with seed {self.seed}" if self.limit else ""
        aside = f", the {self.held_out:g} of the prompts held out" if self.held_out is not None else ""
        said = [f"Data: `{self.data}`{aside}{drawn_of}. Seed of all draws: {self.seed}."]
        for judge in self.judges:
            spec = json_text.dumps(judge["spec"], ensure_ascii=False)
            said.append(f"Judge {judge['name']}: `{spec}`, rule `{judge['rule']}`, {judge['seconds']:.1f} s.")
        return said


def how_made(
    data: str, held_out: float | None, limit: int | None, seed: int, ruled: Sequence[Ruled], asked: Sequence[Asked]
) -> How:
    from coterie.specs import describe

    judges = tuple(
        {
            "name": one.name,
            "spec": describe("judges", one.judge),
            "rule": one.rule,
            "seconds": got.seconds,
            "silent": got.silent,
            "failures": got.failures,
        }
        for one, got in zip(ruled, asked, strict=True)
    )
    return How(data, held_out, limit, seed, judges)


def as_json(table: Table, how: How) -> dict[str, Json]:
    from dataclasses import asdict

    from coterie.evaluation import sheets

    return {**asdict(how), **sheets.as_json(table)}


def shown(table: Table, how: How) -> Iterator[RenderableType]:
    from rich.text import Text

    from coterie.cli.report import section
    from coterie.evaluation import sheets, telling

    for sheet in sheets.sheets(table, whole=False):
        yield from section(sheet.title, screen.table(sheet.headings, sheet.rows))
    yield Text(sheets.INTERVALS, style="dim")
    yield Text("")
    legend = sheets.legend(table)
    yield from section(legend.title, screen.table(legend.headings, legend.rows))
    if table.notes:
        yield from section("notes", _paragraphs(table.notes))
    yield from section("in words", _paragraphs(telling.told(table)))
    yield Text(f"{table.examples} examples, {table.prompts} prompts, seed {how.seed}", style="dim")


def _paragraphs(sentences: Iterable[str]) -> RenderableType:
    """Sentences, each from a line of its own."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid()
    for sentence in sentences:
        grid.add_row(Text(screen.shown(sentence), overflow="fold"))
    return grid


# ---- files ------------------------------------------------------------------------------------


def ready(out: Path | None) -> Path | None:
    """The folder to write to, made, before anything is spent on what will stand in it. Raises `ConfigError`."""
    if out is None:
        return None
    from coterie.evaluation import drawing

    drawing.check()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to the folder {str(out)!r}: {error.strerror}") from error
    return out


def write(folder: Path, table: Table, title: str, how: How) -> None:
    from coterie.evaluation import drawing, sheets

    (folder / "table.md").write_text(sheets.markdown(table, title, how.sentences), encoding="utf-8")
    made = json_text.dumps(as_json(table, how), ensure_ascii=False, indent=2)
    (folder / "table.json").write_text(f"{made}\n", encoding="utf-8")
    drawing.draw(table, title, folder)
    typer.echo(f"coterie: wrote table.md, table.json and charts to {str(folder)!r}", err=True)
