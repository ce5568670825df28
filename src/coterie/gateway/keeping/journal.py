"""The journal: traces that the store has not taken yet, in a file that outlives its process.

It lies beside a store that keeps texts, and nowhere else: a trace holds questions and answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from coterie.gateway.keeping.left_behind import LeftBehind
from coterie.types import KeptRun, is_json

SUFFIX = ".runs"

MOST_BYTES = 128 << 20
"""While the store is away for longer than it takes to fill this, runs are kept in memory alone."""


class Journal:
    """This process's, in a folder that it shares with others."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._files = LeftBehind(folder, SUFFIX)
        self._most_bytes = most_bytes
        self._size = 0

    def add(self, run: KeptRun) -> None:
        """Afterwards the run stands there, if there is room on the disk; the store is given it all the same."""
        head = json.dumps({"id": run.id, "scope": run.scope, "made_at": run.made_at, "chars": run.chars})
        entry = "\n".join((head, *run.lines(), "\n")).encode()
        if self._size + len(entry) > self._most_bytes:
            return
        with suppress(OSError):  # then the next one is written over it
            self._files.write(entry, self._size)
            self._size += len(entry)

    def clear(self) -> None:
        """The store has them all."""
        if self._size:
            self._files.clear()
            self._size = 0

    def left_behind(self) -> Iterator[KeptRun]:
        """The runs in the journals of processes that have ended, and in no other any more once all were taken."""
        for raw in self._files.take():
            *whole, _ = raw.decode("utf-8", "replace").split("\n\n")  # the last may have been cut off
            yield from (_read(entry) for entry in whole if is_json(entry.partition("\n")[0]))

    def close(self, *, keep: bool) -> None:
        """Afterwards the file is gone, or left to the next process."""
        self._files.close(keep=keep)


def _read(entry: str) -> KeptRun:
    head, *lines = entry.split("\n")
    return KeptRun(**json.loads(head), lines=lambda: lines)
