"""Files of records: JSON Lines or one JSON list, plain or gzipped, on this machine or on the hub."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from coterie.errors import ConfigError, MissingExtra

ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")

Record = Any
"""A JSON value, which should be a mapping."""

ZIPPED = b"\x1f\x8b"
"""How a gzipped file begins, whatever it is called."""

_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)


def place_of(name: str, revision: str | None = None, cache_folder: str | None = None) -> Path:
    """The file called `name`, fetched from the hub where it is none here.

    Raises `ConfigError` where there is no such file, `MissingExtra` where the hub's client is absent.
    """
    place = Path(name).expanduser()
    return place if place.is_file() else _fetched(name, revision, cache_folder)


def records(place: Path) -> Iterator[Record]:
    """The records of a file, in their order. Raises `ConfigError` that names the line that cannot be read."""
    try:
        if _is_list(place):
            yield from _list(place)
            return
        with _opened(place) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed(line, f"line {number} of {str(place)!r}")
    except _UNREADABLE as error:
        raise ConfigError(f"{str(place)!r} cannot be read: {error}") from error


def document(place: Path) -> Record:
    """The one JSON value that a file is; of JSON Lines the list of them. Raises `ConfigError` as `records` does."""
    try:
        with _opened(place) as file:
            text = file.read().strip()
    except _UNREADABLE as error:
        raise ConfigError(f"{str(place)!r} cannot be read: {error}") from error
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{str(place)!r} is no JSON: {error}") from error
    return value if end == len(text) else list(records(place))


def _list(place: Path) -> list[Record]:
    with _opened(place) as file:
        found = _parsed(file.read(), repr(str(place)))
    if not isinstance(found, list):  # it began like one
        raise ConfigError(f"{str(place)!r} is neither JSON Lines nor a JSON list")
    return found


def _parsed(text: str, what: str) -> Record:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what} is no JSON: {error}") from error


def _is_list(place: Path) -> bool:
    """True where the file is one JSON list."""
    with _opened(place) as lines:
        first = next((line.lstrip() for line in lines if line.strip()), "")
    return first.startswith("[")


def _opened(place: Path) -> IO[str]:
    with place.open("rb") as file:
        zipped = file.read(len(ZIPPED)) == ZIPPED
    # A byte order mark, which some editors write, is no part of the first record.
    return gzip.open(place, "rt", encoding="utf-8-sig") if zipped else place.open(encoding="utf-8-sig")


def _fetched(name: str, revision: str | None, cache_folder: str | None) -> Path:
    """A data file of the hub: ``owner/repository/file``."""
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not file.endswith(ENDINGS) or name.startswith(("/", ".", "~")):
        raise ConfigError(f"{name!r} is no file; of the hub one is named as owner/repository/file.jsonl")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtra(f"fetching {name!r}", "torch", "huggingface_hub") from error
    try:
        return Path(
            hf_hub_download(
                f"{owner}/{repository}", file, repo_type="dataset", revision=revision, cache_dir=cache_folder
            )
        )
    except Exception as error:  # the client raises many kinds, none of which it promises
        raise ConfigError(f"{name!r} is no file, and could not be fetched from the hub: {error}") from error
