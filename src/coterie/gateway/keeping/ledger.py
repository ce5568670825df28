"""The ledger: what accounts have used and the store does not know yet, in a file that outlives its process.

The store is told about once a second. A process that is killed meanwhile leaves its file behind, and the next one that
starts counts what stands there; what the store took in the very moment of the kill is then counted twice. The file
holds ids of keys and numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coterie.gateway.keeping.left_behind import LeftBehind
from coterie.types import Json, is_json

PAGE_BYTES = 2048
"""Of each account: an id of 100 characters in the longest spelling of JSON, a period and four numbers."""

SUFFIX = ".ledger"


class Ledger:
    """This process's, in a folder that it shares with others."""

    def __init__(self, folder: Path) -> None:
        self._files = LeftBehind(folder, SUFFIX)
        self._pages = 0

    def page(self) -> Page:
        """A fresh one."""
        self._pages += 1
        return Page(self, self._pages - 1)

    def write(self, number: int, line: bytes) -> None:
        """Raises `OSError`."""
        self._files.write(line.ljust(PAGE_BYTES), number * PAGE_BYTES)

    def left_behind(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """What stands in the ledgers of processes that have ended, and in no other any more once all was taken."""
        for raw in self._files.take():
            yield from _pages(raw)

    def close(self, *, keep: bool) -> None:
        """Afterwards the file is gone, or left to the next process."""
        self._files.close(keep=keep)


@dataclass(frozen=True)
class Page:
    """One account's place in a ledger."""

    ledger: Ledger
    number: int

    def write(self, place: str, untold: Mapping[str, Json]) -> None:
        """Afterwards this stands there, whatever becomes of the process. On a full disk it does not; the store is told
        all the same."""
        with suppress(OSError):
            self.ledger.write(self.number, json.dumps({"place": place, "untold": untold}).encode())


def _pages(raw: bytes) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for at in range(0, len(raw), PAGE_BYTES):
        line = raw[at : at + PAGE_BYTES].strip(b" \0")
        if is_json(line.decode("utf-8", "replace")):  # a full disk may have taken half of one, or there is none
            page = json.loads(line)
            yield page["place"], page["untold"]
