"""Where a local encoder's files stand: a model of the catalogue, fetched on first use, or somebody's own folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from coterie import weights
from coterie.errors import ConfigError

log = logging.getLogger("coterie")


def folder_of(model: str) -> Path:
    """The folder of a model of the catalogue, fetched where it is not here, or the one at that path.

    Raises `ModelFilesError` where it cannot be fetched, `ConfigError` for what is neither.
    """
    entry = weights.CATALOGUE.get(model)
    if entry is not None and entry.folder:
        if not any(here.path for here in weights.listed() if here.entry is entry):
            log.info("fetching %s, %.0f MB", entry.title, entry.download_mb)
        return weights.pull(model)
    own = Path(model).expanduser()
    if not own.is_dir():
        names = ", ".join(name for name, each in weights.CATALOGUE.items() if each.folder)
        raise ConfigError(f"{model!r} is neither a folder nor an encoder of the catalogue ({names})")
    return own


def known_as(model: str, files: Sequence[str]) -> str:
    """What tells this model from others: the catalogue's name and checksum, or the checksums of a folder's files."""
    entry = weights.CATALOGUE.get(model)
    if entry is not None and entry.folder:
        return f"{model}@{entry.sha256[:12]}"
    folder = folder_of(model)
    found = [folder / name for name in files if (folder / name).is_file()]
    if not found:
        raise ConfigError(f"{str(folder)!r} holds none of {', '.join(files)}")
    digest = hashlib.sha256("".join(_checksum(file) for file in found).encode()).hexdigest()
    return f"{folder.name}@{digest[:12]}"


def _checksum(file: Path) -> str:
    state = file.stat()
    return _hashed(str(file.resolve()), state.st_size, state.st_mtime_ns)


@lru_cache(64)
def _hashed(path: str, _size_bytes: int, _mtime_ns: int) -> str:
    """Of the file as it was then; a file that was written to since has another size or time."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
