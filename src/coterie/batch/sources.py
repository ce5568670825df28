"""The input by its ending: JSON Lines, plain or gzipped, or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from coterie.batch.rows import Block, Columns, Row
from coterie.errors import ConfigError

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


class Reader(Protocol):
    """An open input. Blocks are quickest to read in their order; memory holds one at a time."""

    def scan(self, block_rows: int) -> Iterator[list[Row]]:
        """Every row, in lists of at most `block_rows`, each of which becomes a block. Begins anew."""
        ...

    @property
    def place(self) -> tuple[int, int]:
        """Of the list that `scan` gave last."""
        ...

    def questions(self, block: Block) -> Sequence[Row]:
        """The rows of `block` with the columns that say what is asked; other columns may be there too."""
        ...

    def whole(self, block: Block) -> Sequence[Row]:
        """The rows of `block` with every column, as JSON values."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def ending(path: Path) -> str:
    """One of `ENDINGS`. Raises `ConfigError`."""
    for known in ENDINGS:
        if path.name.lower().endswith(known):
            return known
    raise ConfigError(f"{str(path)!r} must end in one of {', '.join(ENDINGS)}")


def opened(path: Path, columns: Columns) -> Reader:
    """What reads `path`; enter it. Raises `ConfigError`, and `MissingExtra` for Parquet without pyarrow."""
    if not path.is_file():
        raise ConfigError(f"there is no file {str(path)!r}")
    if ending(path) != ".parquet":
        from coterie.batch.json_lines import JsonLines

        return JsonLines(path)
    from coterie.batch.parquet import Parquet

    return Parquet(path, columns)


def arrow() -> Any:
    """The package pyarrow. Raises `MissingExtra`."""
    from coterie.errors import MissingExtra

    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("a Parquet file", "batch", "pyarrow") from error
    return pa
