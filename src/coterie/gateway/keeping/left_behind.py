"""Files that outlive the process that writes them: the next one finds what is left in those of processes that ended.

A process holds its own file locked, so nobody takes it for a dead one's, whatever its number is and wherever it runs.
The files lie beside the store, for which they hold what it has not taken yet. They survive a process that is killed,
not a machine that loses its power.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("coterie.gateway")


class LeftBehind:
    """Files of one kind in a folder, one of which is this process's own, made once it is written to."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._path: Path | None = None
        self._file: int | None = None
        self._failed = False

    def write(self, data: bytes, at: int) -> None:
        """Afterwards `data` stands at that place of this process's own file. Raises `OSError` where it does not."""
        if sys.platform == "win32":  # nobody there looks for what is left
            raise OSError("no files are left behind on this system")
        file = self._own()
        if os.pwrite(file, data, at) < len(data):
            raise OSError("the disk is full")

    def clear(self) -> None:
        """Afterwards nothing stands in it."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)

    def _own(self) -> int:
        if self._file is None:
            try:
                self._path, self._file = _made(self._folder, self._suffix)
            except OSError as error:
                if not self._failed:
                    said = "what this process has not told the store yet is lost if it is killed: %s cannot be made: %s"
                    log.warning(said, self._folder, error.strerror)
                self._failed = True
                raise
        return self._file

    def take(self) -> Iterator[bytes]:
        """What stands in the files of processes that have ended. Each is gone once the next one is asked for."""
        if sys.platform == "win32":
            return
        for path in sorted(self._folder.glob(f"*{self._suffix}")):
            with suppress(OSError):  # somebody else was quicker
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    if _locked(file) and os.path.samestat(os.fstat(file), path.stat()):
                        yield path.read_bytes()
                        path.unlink()
                finally:
                    os.close(file)

    def close(self, *, keep: bool = False) -> None:
        """Afterwards this process has no file; `keep` leaves it to the next one."""
        if self._file is None or self._path is None:
            return
        os.close(self._file)
        if not keep:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):  # others have theirs
                self._folder.rmdir()
        self._file = self._path = None


def _made(folder: Path, suffix: str) -> tuple[Path, int]:
    """A file that is locked before anybody can find it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}{suffix}"
    unseen = path.with_suffix(".new")
    file = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    _locked(file)
    unseen.rename(path)
    return path, file


def _locked(file: int) -> bool:
    """True where this descriptor holds the file's lock now."""
    if sys.platform == "win32":  # there nothing is taken
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
