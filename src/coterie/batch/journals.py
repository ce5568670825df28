"""Journals: finished rows, a line each, in the order in which they finish; one journal a block.

A line is handed to the operating system before its row counts as finished, so that a killed process loses none. It is
forced to the disk every `SYNC_S`, so that a power failure loses at most the last of them, which are asked again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coterie.batch.json_lines import line
from coterie.batch.rows import Block
from coterie.errors import ConfigError
from coterie.types import Json

SYNC_S = 1.0

MOST_UNSYNCED = 64
"""Journals that are full and not yet on the disk: more are not begun, so a slow disk holds the rows back."""


@dataclass
class Tally:
    """How far it has come."""

    rows: int = 0
    """Finished, whether answered or failed."""
    failed: int = 0
    """Finished without an answer."""
    unanswered: int = 0
    """Those of the failed that were asked: the others could not be read."""
    known_usd: float = 0.0
    """What was spent as far as prices are known, also on rows that were cancelled and are asked again."""
    unpriced: int = 0
    """Rows of which a part of the cost is unknown."""

    def __iadd__(self, other: Tally) -> Tally:
        self.rows += other.rows
        self.failed += other.failed
        self.unanswered += other.unanswered
        self.known_usd += other.known_usd
        self.unpriced += other.unpriced
        return self

    @classmethod
    def of(cls, result: Mapping[str, Json]) -> Tally:
        """Of one row."""
        usage = result["usage"] or {"known_cost_usd": 0.0, "cost_usd": 0.0}
        failed = result["error"] is not None
        return cls(
            rows=1,
            failed=int(failed),
            unanswered=int(failed and result["model"] is not None),
            known_usd=usage["known_cost_usd"],
            unpriced=int(usage["cost_usd"] is None),
        )


@dataclass
class Kept:
    """What a journal holds."""

    results: dict[int, dict[str, Json]] = field(default_factory=dict)
    """By the row's number. A row that stands twice was asked again, and counts as it stood last."""
    lost_usd: float = 0.0
    """What rows had cost that were cancelled, or asked again."""
    size: int = 0
    """Bytes up to the end of the last whole line."""

    @property
    def tally(self) -> Tally:
        total = Tally(known_usd=self.lost_usd)
        for result in self.results.values():
            total += Tally.of(result)
        return total

    def let_go(self, number: int) -> None:
        """The row has no result any more; what it cost was spent."""
        before = self.results.pop(number, None)
        if before is not None:
            self.lost_usd += Tally.of(before).known_usd

    def let_go_unanswered(self) -> None:
        """Rows that were asked and not answered have no result any more."""
        for number in [number for number, result in self.results.items() if Tally.of(result).unanswered]:
            self.let_go(number)


def read(path: Path, block: Block) -> Kept:
    """What the journal of `block` holds. What follows its last whole line is no part of it: the process was killed."""
    kept = Kept()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return kept
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from error
    for text in data.splitlines(keepends=True):
        if not text.endswith(b"\n") or not _take(kept, text, block):
            break
        kept.size += len(text)
    return kept


def _take(kept: Kept, text: bytes, block: Block) -> bool:
    """False for a line that is none of ours."""
    try:
        entry = json.loads(text)
        if "lost_usd" in entry:
            kept.lost_usd += entry["lost_usd"]
            return True
        number = entry["row"]
        Tally.of(entry)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if not 0 <= number - block.first < block.rows:
        return False
    kept.let_go(number)
    kept.results[number] = entry
    return True


class Journal:
    """The journal of one block, open for writing."""

    def __init__(self, path: Path, kept: Kept) -> None:
        """Raises `ConfigError` where another process writes it."""
        path.parent.mkdir(exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            alone(self._file, f"the journal {str(path)!r}")
            os.ftruncate(self._file, kept.size)
        except BaseException:
            os.close(self._file)
            raise
        self._size = kept.size
        self._synced = kept.size

    def add(self, entry: Mapping[str, Any]) -> None:
        """Afterwards `entry` is the operating system's. Raises `OSError`, and then nothing of it stands there."""
        data = line(entry)
        try:
            written = os.write(self._file, data)
            if written < len(data):  # the disk is full: the rest of the line says so
                os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def sync(self) -> None:
        """Afterwards all of it is on the disk."""
        size = self._size
        if size > self._synced:
            os.fsync(self._file)
            self._synced = size

    def close(self) -> None:
        os.close(self._file)


class Journals:
    """The journals that are written now. Enter it on the loop where rows finish."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Journal, int]] = {}
        """By the block's number, and how many of its rows are not finished."""
        self._full: list[Journal] = []
        self._turn = asyncio.Lock()

    async def begin(self, block: Block, path: Path, kept: Kept) -> None:
        """Rows of `block` may finish from now on; waits while the disk is far behind."""
        if len(self._full) >= MOST_UNSYNCED:
            await self.sync()
        self._open[block.number] = (Journal(path, kept), block.rows - len(kept.results))

    def finish(self, block: Block, result: Mapping[str, Json]) -> None:
        """Afterwards the row is finished. Raises `OSError`."""
        journal, left = self._open[block.number]
        journal.add(result)
        self._open[block.number] = (journal, left - 1)
        if left == 1:
            del self._open[block.number]
            self._full.append(journal)

    def lose(self, block: Block, usd: float) -> None:
        """A row was cancelled on which so much was spent. Raises `OSError`."""
        self._open[block.number][0].add({"lost_usd": usd})

    async def sync(self) -> None:
        """Afterwards all that was finished before is on the disk. Raises `OSError`."""
        async with self._turn:
            full, self._full = self._full, []
            writing = [journal for journal, _ in self._open.values()]
            try:
                for journal in (*full, *writing):
                    await asyncio.to_thread(journal.sync)
            except BaseException:
                self._full += full
                raise
            for journal in full:
                journal.close()

    async def keep_syncing(self) -> None:
        """Sync again and again. Raises `OSError`."""
        while True:
            await asyncio.sleep(SYNC_S)
            await self.sync()

    def close(self) -> None:
        for journal in (*self._full, *(journal for journal, _ in self._open.values())):
            journal.close()
        self._full.clear()
        self._open.clear()


def alone(file: int, what: str) -> None:
    """Nobody else writes the open file from now on, where the system has such locks. Raises `ConfigError`."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(f"{what} is being written by another process; wait until that has ended") from error
