"""What a lesson costs to be kept: an append to the store's journal, beside SQLite alone and a bare fdatasync."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

from coterie.protocols import Journals
from coterie.routers.packing import packed
from coterie.store.database import Database
from coterie.store.engines import CONNECTION_SETTINGS
from router_ranking import drawn
from router_times import Plan, Row
from turns import Side, in_turns

SPACE = "benchmark"
ENTRY = {"version": 1, "first": "m1", "second": "m2", "result": 1.0}
MOST_MS = 1.0


def filesystem(folder: Path) -> str:
    """The kind of file system that `folder` lies on; "unknown" where nobody says."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    own = folder.resolve()
    under = [(place, kind) for place, kind in mounts if own.is_relative_to(place)]
    return max(under, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def measure(plan: Plan, folder: Path) -> Iterator[Row]:
    """Files are made in a folder of their own inside `folder`, and are gone afterwards."""
    entry = {**ENTRY, "vector": packed(drawn(1)[0])}
    text = str(entry).encode()
    calls = max(2, plan.calls // 4)
    with tempfile.TemporaryDirectory(dir=folder) as place, asyncio.Runner() as runner:
        loop, stack = runner.get_loop(), AsyncExitStack()
        store = loop.run_until_complete(stack.enter_async_context(Database.at(str(Path(place, "store.db"))).open()))
        journals: Journals = store.journals
        bare = os.open(Path(place, "bare"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

        def sync(_: int) -> None:
            os.write(bare, text)
            os.fdatasync(bare)

        with closing(_sqlite(Path(place, "plain.db"))) as plain:
            sides = (
                Side("append", lambda _: loop.run_until_complete(journals.append(SPACE, [entry])), calls),
                Side("limit: as many bytes and fdatasync", sync, calls),
                Side("peer: SQLite's own module, same settings", lambda _: _append(plain, text), calls),
            )
            took = in_turns(sides, plan.blocks)
        yield Row("journal", "one entry appended, on the disk", took.pop("append"), beside=took, most_ms=MOST_MS)
        last = loop.run_until_complete(journals.append(SPACE, []))
        read = Side("read", lambda _: loop.run_until_complete(journals.since(SPACE, last - 1, 250)), calls)
        yield Row("journal", "read where nothing is new", in_turns([read], plan.blocks)["read"])
        os.close(bare)
        loop.run_until_complete(stack.aclose())


def _sqlite(file: Path) -> sqlite3.Connection:
    """A table of entries, with the store's settings."""
    made = sqlite3.connect(file, isolation_level=None)
    for setting in CONNECTION_SETTINGS:
        made.execute(f"PRAGMA {setting}")
    made.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, value BLOB)")
    return made


def _append(database: sqlite3.Connection, text: bytes) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO entry (value) VALUES (?)", (text,))
    database.execute("COMMIT")
