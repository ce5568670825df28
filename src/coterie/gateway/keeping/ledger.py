"""The ledger: what a worker's accounts have used and the store does not know yet, in a file that outlives the worker.

The store is told about once a second. A worker that is killed meanwhile leaves its file behind, and the next one that
starts counts what stands there; what the store took in the very moment of the kill is then counted twice. It holds ids
of keys and numbers, and goes with the processes that share its folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from coterie.types import Json

FOLDER = "COTERIE_LEDGERS"
"""The environment variable that names the folder in which workers keep their ledgers."""

PAGE_BYTES = 2048
"""Of each account: an id of 100 characters in the longest spelling of JSON, a period and four numbers."""

SUFFIX = ".ledger"


@contextmanager
def folder() -> Iterator[None]:
    """While it is entered there is a folder for the ledgers of this process's children."""
    with TemporaryDirectory(prefix="coterie-ledgers-") as made:
        os.environ[FOLDER] = made
        try:
            yield
        finally:
            del os.environ[FOLDER]


class Ledger:
    """This process's, in a folder that it shares with others. There is a file once something stands in it."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._file: int | None = None
        self._pages = 0

    @classmethod
    def shared(cls) -> Ledger | None:
        """``None`` where no folder is named: a process on its own has nobody who would read it."""
        where = os.environ.get(FOLDER)
        return cls(Path(where)) if where else None

    def page(self) -> Page:
        """A fresh one."""
        self._pages += 1
        return Page(self, self._pages - 1)

    def write(self, number: int, line: bytes) -> None:
        if self._file is None:
            name = self._where / f"{os.getpid()}{SUFFIX}"
            self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._file, line.ljust(PAGE_BYTES), number * PAGE_BYTES)

    def left_behind(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """What stands in the ledgers of processes that have ended, and in no other any more once all was taken."""
        for path in sorted(self._where.glob(f"*{SUFFIX}")):
            if _alive(int(path.stem)):
                continue
            mine = path.with_suffix(f".{os.getpid()}")
            with suppress(FileNotFoundError):  # somebody else was quicker
                path.rename(mine)
                yield from _pages(mine.read_bytes())
                mine.unlink()


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
        if line := raw[at : at + PAGE_BYTES].strip(b" \0"):
            page = json.loads(line)
            yield page["place"], page["untold"]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
