"""``coterie export feedback`` and ``runs``: what the store gathered, as files that training and calibration read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.counting import counting
from coterie.cli.sources import ConfigOption
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from coterie.protocols import Store
    from coterie.store import Database

PAGE = 500


def feedback(
    out: Annotated[Path, typer.Option("--out", help="A new file (JSON Lines), for --feedback of train and calibrate.")],
    config: ConfigOption = None,
) -> None:
    """Write all feedback that the store has: what was said of which run, and when."""
    _check_new(out)
    count = asyncio.run(_write_feedback(_database(config), out))
    screen.show([f"{out}: {count} pieces of feedback"])


def runs(
    out: Annotated[Path, typer.Option("--out", help="A new folder, for a trace file of each run.")],
    config: ConfigOption = None,
) -> None:
    """Write the traces of the runs that the store keeps. They hold questions and answers."""
    _check_new(out)
    database = _database(config)
    out.mkdir(parents=True)
    count = asyncio.run(_write_runs(database, out))
    screen.show([f"{out}: {count} traces"])


def _database(config: Path | None) -> Database:
    from coterie.cli import sources

    made = sources.load(config)
    if made.store is None:
        raise ConfigError("the configuration names no store, so nothing was gathered: add a section `store`")
    return made.store


def _check_new(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"{str(out)!r} is there already: name a new one")


async def _write_feedback(database: Database, out: Path) -> int:
    from coterie.feedback import JOURNAL

    count = 0
    async with database.open() as store:
        with out.open("x", encoding="utf-8") as file, counting() as watch:
            while entries := await store.journals.since(JOURNAL, count, PAGE):
                file.writelines(f"{json.dumps(entry.value)}\n" for entry in entries)
                count = entries[-1].number
                watch("feedback", count, count)
    return count


async def _write_runs(database: Database, out: Path) -> int:
    count = 0
    async with database.open() as store:
        with counting() as watch:
            async for id_, lines in _runs(store):
                (out / f"{re.sub(r'[^A-Za-z0-9_-]', '_', id_)}.jsonl").write_text(lines, encoding="utf-8")
                count += 1
                watch("runs", count, count)
    return count


async def _runs(store: Store) -> AsyncIterator[tuple[str, str]]:
    last = ""
    while page := await store.runs.after(last):
        for run in page:
            yield run.id, "".join(f"{line}\n" for line in run.lines())
        last = page[-1].id
