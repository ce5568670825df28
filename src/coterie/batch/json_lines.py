"""JSON Lines as an input and as an output: one object a line, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from coterie.batch.rows import Block, Row
from coterie.errors import ConfigError
from coterie.types import Json, encodable

MAX_LINE_BYTES = 64 * 2**20
"""A longer line is a row that cannot be asked: it is passed over, and never held whole."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonLines:
    """An open file of JSON Lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        zipped = path.name.lower().endswith(".gz")
        self._file: Any = (gzip.open if zipped else open)(path, "rb")
        self._line = 0
        """The number of the line that was read last."""
        self.place = (0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def scan(self, block_rows: int) -> Iterator[list[Row]]:
        """Raises `ConfigError` for a file that breaks off."""
        self._seek(0, 1)
        number = 1
        while True:
            place = (self._file.tell(), self._line + 1)
            rows = self._rows(number, block_rows)
            if not rows:
                return
            self.place = place
            yield rows
            number += len(rows)

    def questions(self, block: Block) -> Sequence[Row]:
        offset, line = block.place
        if (self._file.tell(), self._line + 1) != (offset, line):
            self._seek(offset, line)
        return self._rows(block.first, block.rows)

    def whole(self, block: Block) -> Sequence[Row]:
        return self.questions(block)

    def _seek(self, offset: int, line: int) -> None:
        """Going back in a gzipped file reads it again from its beginning."""
        self._file.seek(offset)
        self._line = line - 1

    def _rows(self, first: int, most: int) -> list[Row]:
        rows: list[Row] = []
        try:
            while len(rows) < most and (line := self._next()) is not None:
                rows.append(_row(first + len(rows), self._line, line))
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{str(self._path)!r} cannot be read after line {self._line}: {error}") from error
        return rows

    def _next(self) -> bytes | None:
        """The next line that is not blank; of one that is too long its beginning, longer than any may be."""
        line: bytes
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = self._file.readline(MAX_LINE_BYTES + 1)
            self._line += 1
            if self._line == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line.strip():
                return line
        return None


def _row(number: int, line: int, text: bytes) -> Row:
    where = f"line {line}"
    if len(text) > MAX_LINE_BYTES:
        return Row(number, where, fault=f"{where} is longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_float)
    except UnicodeDecodeError as error:
        return Row(number, where, fault=f"{where} is not valid UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        return Row(number, where, fault=f"{where} is nested too deeply")
    except ValueError as error:
        return Row(number, where, fault=f"{where} is no JSON: {error}")
    if not isinstance(value, dict):
        return Row(number, where, fault=f"{where} is no object, but {type(value).__name__}")
    return Row(number, where, value)


def _constant(text: str) -> Json:
    raise ValueError(f"{text} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # it could not be written again
        raise ValueError(f"the number {text[:40]} is too large")
    return value


# ---- writing ----------------------------------------------------------------------------------


def line(value: Mapping[str, Json]) -> bytes:
    """`value` as one line. What JSON cannot hold is null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False, separators=(",", ":"))
    if not encodable(text):  # half a character, which only an escape can hold
        text = json.dumps(json.loads(text), separators=(",", ":"))
    return text.encode() + b"\n"


def _without_nan(value: Any) -> Json:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return value


class JsonLinesOutput:
    """Rows as lines, in the order in which they come."""

    def __init__(self, path: Path, *, zipped: bool) -> None:
        self._raw = path.open("wb")
        self._file: IO[bytes] = self._raw
        if zipped:  # no name and no time, so that equal rows make equal files
            self._file = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)  # type: ignore[assignment]

    def write(self, rows: Sequence[Mapping[str, Json]]) -> None:
        self._file.write(b"".join(map(line, rows)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not self._raw:
            self._file.close()
        self._raw.close()
