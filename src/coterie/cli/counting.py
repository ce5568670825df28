"""How far a count has come, on stderr: a bar a task on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from coterie.cli import screen

EVERY_S = 10.0
"""How often a line is printed where there is no terminal."""


class Count(Protocol):
    """Told of what, how many are done, how many there are, and what else is worth a look."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def counting() -> Iterator[Count]:
    """A watch for counts with rate and time left; a count that begins anew starts its clock anew."""
    with _bars() if sys.stderr.isatty() else _lines() as count:
        yield count


@contextmanager
def _lines() -> Iterator[Count]:
    began: dict[str, float] = {}
    told: dict[str, float] = {}

    def count(what: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if what not in began or done == 0:
            began[what] = told[what] = now
        long_ago = now - told[what] >= EVERY_S
        if long_ago or (done == total and now - began[what] >= EVERY_S):
            told[what] = now
            rate = done / max(now - began[what], 1e-9)
            left = f", {(total - done) / max(rate, 1e-9):.0f} s left" if done < total else ""
            screen.complain(f"{what}: {done} of {total}, {rate:.1f}/s{left}{note and f'; {note}'}")

    yield count


@contextmanager
def _bars() -> Iterator[Count]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    told = TextColumn("{task.fields[rate]}")
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), told, TimeRemainingColumn())
    with Progress(*columns, console=screen.console(stderr=True)) as bars:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def count(what: str, done: int, total: int, note: str = "") -> None:
            if what not in tasks:
                tasks[what] = (bars.add_task(what, total=total, rate=""), time.monotonic())
            task, began = tasks[what]
            if done == 0:
                bars.reset(task, total=total)
                tasks[what] = (task, time.monotonic())
            rate = f"{done / max(time.monotonic() - began, 1e-9):.1f}/s"
            bars.update(task, completed=done, total=total, rate=f"{rate} {note}".rstrip())

        yield count
