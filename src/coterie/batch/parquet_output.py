"""Parquet as an output: the input's columns with their types, then the result's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from coterie.batch import results
from coterie.batch.parquet import Parquet
from coterie.batch.rows import Block, Row
from coterie.batch.sources import Reader, arrow
from coterie.gateway.bodies import sound
from coterie.types import Json

GROUP_ROWS = 16_384
"""Rows of a row group that is written, unless they are large."""

GROUP_BYTES = 64 * 2**20
"""So many bytes are held at most before they are written as a row group."""

_EXACT = 2**53
"""Whole numbers up to here are exact in a column of 64-bit floating point."""

_LARGE = 2**63

Kind = Literal["null", "bool", "int", "large", "float", "text", "json"]
"""What a column of JSON values can be kept as; `large` are whole numbers that floating point would round."""


class ParquetOutput:
    """Writes blocks with their results, a row group at a time."""

    def __init__(self, path: Path, reader: Reader, kinds: Mapping[str, Kind]) -> None:
        pa = self._pa = arrow()
        self._reader = reader
        self._kinds = kinds
        columns = reader.schema if isinstance(reader, Parquet) else _schema(pa, kinds)
        names = results.renamed(columns.names)
        renamed = [field.with_name(names[field.name]) for field in columns]
        self._result = _result_schema(pa)
        self._schema = pa.schema([*renamed, *self._result])
        self._writer = pa.parquet.ParquetWriter(path, self._schema)
        self._held: list[Any] = []

    @classmethod
    def of(cls, path: Path, reader: Reader, blocks: Callable[[], Iterable[Block]]) -> ParquetOutput:
        """JSON has no types to tell, so all of it is read once to see what its columns hold."""
        return cls(path, reader, {} if isinstance(reader, Parquet) else kinds_of(reader, blocks()))

    def __call__(self, block: Block, found: Sequence[Mapping[str, Json]]) -> None:
        pa = self._pa
        if isinstance(self._reader, Parquet):
            columns = self._reader.table(block).columns
        else:
            rows = self._reader.whole(block)
            columns = [_column(pa, rows, name, kind) for name, kind in self._kinds.items()]
        told = [_plain(result) for result in found]
        mine = [pa.array([row[field.name] for row in told], field.type) for field in self._result]
        self._held.append(pa.table([*columns, *mine], schema=self._schema))
        if sum(t.num_rows for t in self._held) >= GROUP_ROWS or sum(t.nbytes for t in self._held) >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            held = self._pa.concat_tables(self._held)
            self._writer.write_table(held, row_group_size=max(1, held.num_rows))
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def kinds_of(reader: Reader, blocks: Iterable[Block]) -> dict[str, Kind]:
    """What each column of JSON values can be kept as, by all of its values."""
    kinds: dict[str, Kind] = {}
    for block in blocks:
        for row in reader.whole(block):
            for name, value in row.fields.items():
                kinds[name] = _both(kinds.get(name, "null"), _kind(value))
    return kinds


def _kind(value: Json) -> Kind:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            size = abs(value)
            return "int" if size <= _EXACT else "large" if size < _LARGE else "json"
        case float():
            return "float"
        case str():
            return "text"
        case _:
            return "json"


def _both(a: Kind, b: Kind) -> Kind:
    if b in (a, "null"):
        return a
    if a == "null":
        return b
    pair = {a, b}
    if pair == {"int", "large"}:
        return "large"
    return "float" if pair == {"int", "float"} else "json"


def _schema(pa: Any, kinds: Mapping[str, Kind]) -> Any:
    types = {"bool": pa.bool_(), "int": pa.int64(), "large": pa.int64(), "float": pa.float64()}
    return pa.schema([(sound(name), types.get(kind, pa.string())) for name, kind in kinds.items()])


def _column(pa: Any, rows: Sequence[Row], name: str, kind: Kind) -> Any:
    values = [row.fields.get(name) for row in rows]
    match kind:
        case "text":
            return pa.array([None if value is None else sound(value) for value in values], pa.string())
        case "json":
            return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
        case "float":
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        case "null":
            return pa.nulls(len(values), pa.string())
        case _:
            return pa.array(values, pa.bool_() if kind == "bool" else pa.int64())


def _result_schema(pa: Any) -> Any:
    text, whole = pa.string(), pa.int64()
    usage = pa.struct(
        [
            ("calls", whole),
            ("input_tokens", whole),
            ("output_tokens", whole),
            ("cost_usd", pa.float64()),
            ("known_cost_usd", pa.float64()),
        ]
    )
    failure = pa.struct([("member", text), ("error", text), ("kind", text), ("stage", text)])
    types = {
        "row": whole,
        "partial": pa.bool_(),
        "usage": usage,
        "failures": pa.list_(failure),
        "error": pa.struct([("code", text), ("message", text)]),
    }
    return pa.schema([(name, types.get(name, text)) for name in results.COLUMNS])


def _plain(result: Mapping[str, Json]) -> dict[str, Json]:
    """OpenAI's document of an answer has no fixed columns, so it is JSON in a text."""
    response = result["response"]
    return {**result, "response": None if response is None else json.dumps(response, ensure_ascii=False)}
