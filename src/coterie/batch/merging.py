"""Writing the output: input and results block by block, in the input's order, and all of it at once for its readers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from coterie.batch import results, sources
from coterie.batch.folder import Folder, Plan, Watch
from coterie.batch.json_lines import JsonLinesOutput
from coterie.batch.rows import Block
from coterie.batch.sources import Reader
from coterie.types import Json


class _Output(Protocol):
    def __call__(self, block: Block, found: Sequence[Mapping[str, Json]]) -> None:
        """Write the rows of `block` with their results."""
        ...


def write(folder: Folder, plan: Plan, reader: Reader, watch: Watch) -> None:
    """Afterwards the output of `folder` is complete, on the disk; before it is, nothing stands under its name.

    Memory holds a block, and for Parquet a row group. Every row of the plan must have a result.
    """
    temporary = folder.path / f"output{sources.ending(folder.output)}"
    with _opened(folder, reader, temporary) as output:
        done = 0
        for block in folder.blocks():
            kept = folder.kept(block).results
            output(block, [kept[number] for number in range(block.first, block.first + block.rows)])
            watch("writing", done := done + block.rows, plan.rows)
    _on_disk(temporary)
    os.replace(temporary, folder.output)
    _on_disk(folder.output.absolute().parent)


def _opened(folder: Folder, reader: Reader, path: Path) -> AbstractContextManager[_Output]:
    ending = sources.ending(path)
    if ending == ".parquet":
        from coterie.batch.parquet_output import ParquetOutput

        return ParquetOutput.of(path, reader, folder.blocks)
    return _Lines(path, reader, zipped=ending.endswith(".gz"))


class _Lines:
    def __init__(self, path: Path, reader: Reader, *, zipped: bool) -> None:
        self._file = JsonLinesOutput(path, zipped=zipped)
        self._reader = reader

    def __call__(self, block: Block, found: Sequence[Mapping[str, Json]]) -> None:
        rows = self._reader.whole(block)
        self._file.write([results.merged(row.fields, result) for row, result in zip(rows, found, strict=True)])

    def __enter__(self) -> _Output:
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)


def _on_disk(path: Path) -> None:
    """Afterwards what stands in the file or folder survives a power failure."""
    try:
        file = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)
