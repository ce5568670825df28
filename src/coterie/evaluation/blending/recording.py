"""Files of rows: JSON Lines that grow while an evaluation runs, and are read whatever end it came to.

A line is a header (the first), a question or a row, by its ``record``. A last line that a crash left half written is
no error: readers leave it out and say so, and a recorder that goes on takes it away.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coterie.errors import ConfigError
from coterie.evaluation.blending.header import FORMAT, Header
from coterie.evaluation.blending.rows import Place, Question, Row, Variant
from coterie.types import Json, encodable

Record = Header | Question | Row

RECORDS: Mapping[str, type[Record]] = {"header": Header, "question": Question, "row": Row}
_NAMES = {cls: name for name, cls in RECORDS.items()}


@dataclass(frozen=True)
class Recorded:
    """What a file of rows holds."""

    header: Header
    rows: tuple[Row, ...] = ()
    """One for each key, the last that was written, in the order of the first."""
    questions: Mapping[Place, Question] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()
    """What a reader of tables made of it has to know."""


def read(path: str | os.PathLike[str]) -> Recorded:
    """What the file at `path` holds. Raises `ConfigError` naming file and line of what cannot be read."""
    name = str(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the rows in {name!r}: {error.strerror}") from error
    return _Reading(name).of(data)


class _Reading:
    """One file on its way into nouns."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: Header | None = None
        self.rows: dict[tuple[Place, Variant, int], Row] = {}
        self.questions: dict[Place, Question] = {}
        self.replaced = 0
        self.unknown: dict[str, int] = {}
        """Fields that this version does not know, and the first line that has them."""

    def of(self, data: bytes) -> Recorded:
        notes = []
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record, unknown = _parsed(line)
            except ValueError as error:
                if number == len(lines) and self.header is not None:  # no line end behind it
                    notes.append(f"line {number} of {self.name!r}, the last, is half written and was left out")
                    break
                raise ConfigError(f"line {number} of {self.name!r} is no record of an evaluation: {error}") from error
            for name in unknown:
                self.unknown.setdefault(name, number)
            self._take(record, number)
        if self.header is None:
            raise ConfigError(f"{self.name!r} holds no header: it is empty, or was cut in its first line")
        return Recorded(self.header, tuple(self.rows.values()), self.questions, (*notes, *self._notes()))

    def _take(self, record: Record, number: int) -> None:
        if isinstance(record, Header):
            self._take_header(record, number)
        elif self.header is None:
            raise ConfigError(f"line {number} of {self.name!r} is a {_NAMES[type(record)]}, but the first is a header")
        elif isinstance(record, Question):
            self.questions[record.place] = record
        else:
            self.replaced += record.key in self.rows
            self.rows[record.key] = record

    def _take_header(self, header: Header, number: int) -> None:
        if header.format > FORMAT:
            raise ConfigError(
                f"line {number} of {self.name!r} has format {header.format!r}; this version reads up to {FORMAT}: "
                "install a later one"
            )
        if self.header is None:
            self.header = header
        elif differing := _differing(self.header, header):
            raise ConfigError(f"line {number} of {self.name!r} goes on with another run: {differing}")

    def _notes(self) -> Iterator[str]:
        if self.replaced:
            yield f"{self.replaced} rows were recorded again; the last of each stands"
        for name, number in self.unknown.items():
            yield f"the field {name!r} (line {number}) is unknown to this version and was left out"


class Recorder:
    """A file of rows that is written: every record added is on its way to the disk when `add` returns.

    Given a file that is there, it goes on with it: `rows` are what stands in it. Raises `ConfigError` where that was
    another run (anything but the time it began), or the file cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        target = Path(path)
        try:
            begun = target.exists() and _mended(target)
            self.recorded = read(target) if begun else Recorded(header)
            if differing := _differing(self.recorded.header, header):
                raise ConfigError(f"{str(path)!r} holds another run: {differing}; name another file")
            self._file = target.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"cannot write rows to {str(path)!r}: {error.strerror}") from error
        if not begun:
            self.add(header)

    def add(self, record: Record) -> None:
        self._file.write(f"{line_of(record)}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def line_of(record: Record) -> str:
    """The record as one line of JSON, without its end. What JSON has no value for is written as its text."""
    fields = {"record": _NAMES[type(record)], **dataclasses.asdict(record)}
    text = json.dumps(fields, ensure_ascii=False, default=_plain)
    return text if encodable(text) else json.dumps(fields, default=_plain)


def _plain(value: Any) -> Json:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _mended(target: Path) -> bool:
    """Take away what a crash left of a line; false where nothing is left."""
    data = target.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    if rest:
        try:
            _parsed(rest)
        except ValueError:
            with target.open("r+b") as file:
                file.truncate(len(data) - len(rest))
            return bool(whole)
        with target.open("ab") as file:
            file.write(b"\n")
    return bool(data.strip())


def _parsed(line: bytes) -> tuple[Record, list[str]]:
    """A line's record, and its fields that nobody knows. Raises `ValueError`."""
    from pydantic import ValidationError

    try:
        fields = json.loads(line.decode("utf-8"))
        if b"\\ud" in line.lower():
            fields = _whole(fields)
        name = str(fields.pop("record"))
        record: Record = _checked(name).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the record'}: {first['msg']}") from error
    except (KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"a record is one of {', '.join(RECORDS)}, not {line[:120]!r}") from error
    known = {of.name for of in dataclasses.fields(record)}
    return record, [name for name in fields if name not in known]


@cache
def _checked(name: str) -> Any:
    """What makes records of one kind out of plain data."""
    from pydantic import TypeAdapter

    return TypeAdapter(RECORDS[name])


def _whole(value: Json) -> Json:
    """A JSON value whose texts hold no half characters."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def _differing(one: Header, other: Header) -> str:
    """The first thing in which two headers are not of one run; empty where they are."""
    a, b = (json.loads(line_of(replace(header, started_at=""))) for header in (one, other))
    for name in a:
        if a[name] != b[name]:
            return f"its {name} was {a[name]!r:.120}, and is {b[name]!r:.120}"
    return ""
