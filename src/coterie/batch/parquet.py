"""Parquet as an input and as an output: read and written a part of a row group at a time."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from coterie.batch.rows import Block, Columns, Row
from coterie.batch.sources import arrow
from coterie.errors import ConfigError
from coterie.types import Json


class Parquet:
    """An open Parquet file."""

    def __init__(self, path: Path, columns: Columns) -> None:
        """Raises `ConfigError` for a file that is none, `MissingExtra` without pyarrow."""
        self._pa = arrow()
        self._path = path
        try:
            self._file = self._pa.parquet.ParquetFile(path)
        except (self._pa.ArrowException, OSError) as error:
            raise ConfigError(f"{str(path)!r} is no Parquet file: {error}") from error
        self.schema = self._file.schema_arrow
        names = self.schema.names
        if len(set(names)) < len(names):
            raise ConfigError(f"{str(path)!r} has two columns of one name: {names!r:.300}")
        self._asked = [name for name in (*columns.questions, *columns.ids, "url") if name in names]
        self._walks: dict[bool, _Walk] = {}
        self.place = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._walks.clear()
        self._file.close()

    def scan(self, block_rows: int) -> Iterator[list[Row]]:
        first = 1
        for group in range(self._file.num_row_groups):
            left = self._file.metadata.row_group(group).num_rows
            walk = _Walk(self._file, group, block_rows, self._asked)
            while left:
                self.place = (group, walk.row)
                rows = min(block_rows, left)
                yield self._asked_rows(first, rows, self._taken(walk, rows))
                first, left = first + rows, left - rows

    def questions(self, block: Block) -> Sequence[Row]:
        return self._asked_rows(block.first, block.rows, self._block(block, asked=True))

    def whole(self, block: Block) -> Sequence[Row]:
        table = self.table(block)
        lists = {name: _readable(self._pa, table.column(name)).to_pylist() for name in table.schema.names}
        return [
            Row(block.first + n, "", {name: _as_json(values[n]) for name, values in lists.items()})
            for n in range(block.rows)
        ]

    def table(self, block: Block) -> Any:
        """The rows of `block` with every column, as an Arrow table."""
        return self._block(block, asked=False)

    def _asked_rows(self, first: int, rows: int, table: Any) -> list[Row]:
        """A file may have no column that says what is asked, and rows nevertheless."""
        lists = {name: table.column(name).to_pylist() for name in self._asked}
        return [_row(first + n, {name: values[n] for name, values in lists.items()}) for n in range(rows)]

    def _block(self, block: Block, *, asked: bool) -> Any:
        group, row = block.place
        walk = self._walks.get(asked)
        if walk is None or walk.group != group or walk.row > row:
            walk = self._walks[asked] = _Walk(self._file, group, block.rows, self._asked if asked else None)
        if walk.row < row:
            self._taken(walk, row - walk.row)
        return self._taken(walk, block.rows)

    def _taken(self, walk: _Walk, rows: int) -> Any:
        if walk.columns == []:  # a file without a column to ask
            walk.row += rows
            return None
        try:
            return walk.take(rows)
        except (self._pa.ArrowException, OSError, StopIteration) as error:
            said = str(error) or "it has fewer rows than it says"
            raise ConfigError(f"{str(self._path)!r} cannot be read in row group {walk.group}: {said}") from error


class _Walk:
    """A way through one row group."""

    def __init__(self, file: Any, group: int, step_rows: int, columns: list[str] | None) -> None:
        self.group = group
        self.columns = columns
        self.row = 0
        """How many rows were taken."""
        self._batches = file.iter_batches(batch_size=step_rows, row_groups=[group], columns=columns)
        self._left: Any = None
        """Of the batch that was read last."""

    def take(self, rows: int) -> Any:
        """The next so many rows. Raises `StopIteration` where there are fewer."""
        taken = []
        self.row += rows
        while rows:
            if self._left is None or not self._left.num_rows:
                self._left = next(self._batches)
            taken.append(self._left.slice(0, rows))
            self._left = self._left.slice(taken[-1].num_rows)
            rows -= taken[-1].num_rows
        return arrow().Table.from_batches(taken)


# ---- values -----------------------------------------------------------------------------------


def _row(number: int, fields: Mapping[str, Any]) -> Row:
    """A struct has every field in every row, so what is null in a message or a body was left out of it."""
    where = f"row {number}"
    try:
        return Row(number, where, {name: _parsed(_as_json(value), name) for name, value in fields.items()})
    except (ValueError, RecursionError) as error:
        return Row(number, where, fault=f"{where}: {error}")


def _parsed(value: Json, name: str) -> Json:
    """Messages and bodies may be JSON in a column of texts."""
    if isinstance(value, dict | list):
        return _without_nulls(value)
    if name not in ("messages", "body") or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"{name} is a text, and no JSON: {error}") from None


def _without_nulls(value: Json) -> Json:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value


def _readable(pa: Any, column: Any) -> Any:
    """`column` with times as texts: nanoseconds have no place in Python's own."""
    if pa.types.is_temporal(column.type) and not pa.types.is_interval(column.type):
        return column.cast(pa.int64() if pa.types.is_duration(column.type) else pa.string())
    return column


def _as_json(value: Any) -> Json:
    """`value` as JSON: bytes in base64, what JSON has no form for as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(key): _as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_json(item) for item in value]
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
