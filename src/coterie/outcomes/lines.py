"""Files of records, line by line: JSON Lines or one JSON list, plain or gzipped, each record with its place."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coterie.errors import ConfigError
from coterie.examples.files import ZIPPED
from coterie.types import Json

Watch = Callable[[str, int, int], None]
"""Told how far it is: of what, how much is done, and how much there is."""

EVERY_LINES = 1_000
"""Lines between two words to the watcher."""

_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)


def silent(what: str, done: int, total: int) -> None:
    """Watches nothing."""


@dataclass(frozen=True)
class Line:
    """A record, and where it stands."""

    place: str
    """``file:line``; in a file that is one JSON list, ``file:n`` for the n-th record."""
    record: Json


def lines(file: Path, watch: Watch = silent) -> Iterator[Line]:
    """The records of a file in their order; the watcher is told of bytes.

    Raises `ConfigError` that names the place for what is no JSON, and for a key that stands twice in one object.
    """
    try:
        size = file.stat().st_size
        with _opened(file) as (raw, text):
            yield from _each(file, text, lambda: watch(f"reading {file.name}", raw.tell(), size))
        watch(f"reading {file.name}", size, size)
    except _UNREADABLE as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error}") from error


def _each(file: Path, text: IO[str], told: Callable[[], None]) -> Iterator[Line]:
    for number, line in enumerate(text, 1):
        if number == 1 and line.lstrip().startswith("["):
            yield from _listed(file, line + text.read())
            return
        if line.strip():
            place = f"{file}:{number}"
            yield Line(place, parsed(line, place))
        if number % EVERY_LINES == 0:
            told()


def _listed(file: Path, text: str) -> Iterator[Line]:
    for number, record in enumerate(parsed(text, str(file)), 1):
        yield Line(f"{file}:{number}", record)


def parsed(text: str, place: str) -> Json:
    """The JSON value. Raises `ConfigError` naming the place where it is none, or a key stands twice in an object."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _Twice as error:
        raise ConfigError(f"{place}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place} is no JSON: {error}") from error


class _Twice(ValueError):
    """A key stands twice in one object, so nobody knows which value is meant."""


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


@contextmanager
def _opened(file: Path) -> Iterator[tuple[IO[bytes], IO[str]]]:
    """The file's bytes, whose place tells how far it was read, and its text without a byte order mark."""
    with file.open("rb") as raw:
        zipped = raw.read(len(ZIPPED)) == ZIPPED
        raw.seek(0)
        content: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
        yield raw, io.TextIOWrapper(content, encoding="utf-8-sig")
