"""What a GGUF file says of itself: its metadata and its tensors' shapes, without its weights.

Only what is small is kept, so that the header of a model with 262,144 tokens is read in a moment.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie.errors import ModelFilesError

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF's numbers of the types of numbers, and what `struct` calls them."""

STRING, ARRAY = 8, 9
VERSIONS = (2, 3)

Value = str | int | float | bool


@dataclass(frozen=True)
class Header:
    """The beginning of one GGUF file."""

    metadata: Mapping[str, Value]
    """Without the arrays, such as a vocabulary."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of each tensor, in GGUF's order: a matrix is (inputs, outputs)."""


def read(path: Path) -> Header:
    """The header of the file at `path`. Raises `ModelFilesError` for what cannot be read or is no GGUF file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _header(_Cursor(data))
    except OSError as error:
        raise ModelFilesError(f"cannot read the file {str(path)!r}: {error}") from error
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise ModelFilesError(f"{str(path)!r} is no GGUF file that can be read: {error}") from error


def _header(cursor: _Cursor) -> Header:
    magic, version = cursor.take("4s"), cursor.take("I")
    if magic != b"GGUF" or version not in VERSIONS:
        raise ValueError(f"it begins with {magic!r} and version {version!r}")
    tensors, entries = cursor.take("Q"), cursor.take("Q")
    metadata: dict[str, Value] = {}
    for _ in range(entries):
        key, value = cursor.text(), cursor.value(cursor.take("I"))
        if value is not None:
            metadata[key] = value
    return Header(metadata, dict(cursor.tensor() for _ in range(tensors)))


class _Cursor:
    """A place in a file, which moves on as things are read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> Any:
        """What stands next, of the form that `struct` calls so."""
        (found,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        length: int = self.take("Q")
        start, self._at = self._at, self._at + length
        return self._data[start : self._at].decode(errors="replace")

    def value(self, kind: int) -> Value | None:
        """The next value; ``None`` for an array, which is passed over."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            number: int | float | bool = self.take(NUMBERS[kind])
            return number
        of, count = self.take("I"), self.take("Q")
        if of != STRING:
            self._at += count * struct.calcsize(f"<{NUMBERS[of]}")
            return None
        for _ in range(count):
            length = self.take("Q")
            self._at += length
        return None

    def tensor(self) -> tuple[str, tuple[int, ...]]:
        name = self.text()
        shape = tuple(self.take("Q") for _ in range(self.take("I")))
        self.take("I")  # the type of its numbers
        self.take("Q")  # where they stand
        return name, shape
