"""The folder of a batch in progress, beside its output: what it is bound to, its blocks, and their journals."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coterie.batch import journals
from coterie.batch.binding import InputMark, differences
from coterie.batch.journals import Kept, Tally, alone
from coterie.batch.questions import is_body
from coterie.batch.rows import Block, Columns, Row, said_of
from coterie.batch.sources import Reader
from coterie.errors import ConfigError

FORMAT = 1
"""Version of the folder's layout."""

_A_FOLDER = 1000
"""Journals in one folder."""

Watch = Callable[[str, int, int], None]
"""Told of what, how many are done, and how many there are."""


@dataclass(frozen=True)
class Plan:
    """What the input holds."""

    mark: InputMark
    rows: int
    blocks: int
    bodies: int
    """Rows that are requests of their own, and may name any model."""


class Folder:
    """``OUTPUT.part``."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".part")
        self._planned = self.path / "plan.json"
        self._bound = self.path / "bound.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it is entered, no other process works on this output. Raises `ConfigError`."""
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {str(self.path)!r}: {error.strerror}") from error
        file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            alone(file, str(self.output))
            yield
        finally:
            os.close(file)

    # ---- the plan -----------------------------------------------------------------------------

    def plan(self) -> Plan | None:
        """What was found when the batch was begun; ``None`` where it was not, or never bound to anything."""
        if not (self._bound.exists() and self._planned.exists()):
            return None
        data = json.loads(self._planned.read_bytes())
        if data["format"] != FORMAT:
            raise ConfigError(f"{str(self.path)!r} was made by another version: begin anew with --restart")
        return Plan(InputMark(**data["mark"]), data["rows"], data["blocks"], data["bodies"])

    def make_plan(self, reader: Reader, source: Path, columns: Columns, block_rows: int) -> Plan:
        """Afterwards every block of the input is known, and which of its ids stand twice.

        Raises `ConfigError` for an input that changes meanwhile.
        """
        mark = InputMark.of(source)
        rows = blocks = bodies = 0
        with (self.path / "blocks.jsonl").open("wb") as file, closing(_Ids()) as ids:
            for scanned in reader.scan(block_rows):
                blocks += 1
                place = reader.place
                twins = ids.twins(scanned, columns)
                block = Block(blocks, rows + 1, len(scanned), place, twins)
                file.write(json.dumps(block.to_json()).encode() + b"\n")
                rows += len(scanned)
                bodies += sum(is_body(row, columns) for row in scanned)
            file.flush()
            os.fsync(file.fileno())
        if not mark.fits(source):
            raise ConfigError(f"{str(source)!r} was changed while it was read")
        plan = Plan(mark, rows, blocks, bodies)
        _write(self._planned, {"format": FORMAT, **asdict(plan)})
        return plan

    def blocks(self) -> Iterator[Block]:
        with (self.path / "blocks.jsonl").open("rb") as file:
            for line in file:
                yield Block.from_json(json.loads(line))

    def check_input(self, plan: Plan, source: Path) -> None:
        """Raises `ConfigError` where the input is another than the batch was begun with."""
        if not plan.mark.fits(source):
            raise ConfigError(
                f"{str(source)!r} is not what {str(self.path)!r} was begun with: "
                f"its content differs; give the same file, or begin anew with --restart"
            )

    def bind(self, bound: Mapping[str, str]) -> None:
        """Raises `ConfigError` that names the settings which are not what they were when the batch was begun."""
        if not self._bound.exists():
            _write(self._bound, bound)
            return
        if changed := differences(json.loads(self._bound.read_bytes()), bound):
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise ConfigError(
                f"{str(self.path)!r} was begun with other settings: {', '.join(changed[:5])}{more} differ; "
                "give them back, or begin anew with --restart"
            )

    def clear(self) -> None:
        """Afterwards nothing of the batch in progress is left but the lock."""
        for found in self.path.iterdir():
            if found.is_dir():
                shutil.rmtree(found)
            elif found.name != "lock":
                found.unlink()

    def remove(self) -> None:
        """The plan first: without it nobody takes what is left for a batch in progress."""
        self._planned.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    # ---- the journals -------------------------------------------------------------------------

    def journal(self, block: Block) -> Path:
        return self.path / f"rows-{block.number // _A_FOLDER:05}" / f"{block.number:08}.jsonl"

    def kept(self, block: Block, *, retry: bool = False) -> Kept:
        """What the journal of `block` holds; with `retry` without rows that were not answered."""
        kept = journals.read(self.journal(block), block)
        if retry:
            kept.let_go_unanswered()
        return kept

    def tally(self, plan: Plan, watch: Watch, *, retry: bool) -> tuple[Tally, bytearray]:
        """How far it has come, and for each block (from 1) whether it is complete. Reads every journal."""
        total, complete = Tally(), bytearray(plan.blocks + 1)
        if not any(self.path.glob("rows-*")):
            return total, complete
        for block in self.blocks():
            kept = self.kept(block, retry=retry)
            total += kept.tally
            complete[block.number] = len(kept.results) == block.rows
            watch("reading journals", block.number, plan.blocks)
        return total, complete


def with_twins(rows: Sequence[Row], block: Block) -> Iterator[Row]:
    """`rows` of `block`, those with an id that stood before as rows that cannot be asked."""
    for row in rows:
        before = block.twins.get(row.number)
        if before is None or row.fault:
            yield row
        else:
            yield Row(row.number, row.where, row.fields, f"{row.where}: its id stands in row {before} already")


class _Ids:
    """Ids seen so far, on the disk where they are many."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("pragma journal_mode=off")
        self._database.execute("create table ids (digest blob primary key, row integer) without rowid")

    def twins(self, rows: Sequence[Row], columns: Columns) -> dict[int, int]:
        """Those of `rows` whose id stood before, and in which row."""
        found = {}
        for row in rows:
            said = said_of(row, columns)
            if isinstance(said, bool) or not isinstance(said, str | int):
                continue
            digest = hashlib.blake2b(f"{type(said).__name__}:{said}".encode("utf-8", "surrogatepass"), digest_size=16)
            if self._database.execute(
                "insert or ignore into ids values (?, ?)", (digest.digest(), row.number)
            ).rowcount:
                continue
            first = self._database.execute("select row from ids where digest = ?", (digest.digest(),)).fetchone()
            found[row.number] = first[0]
        return found

    def close(self) -> None:
        self._database.close()


def _write(path: Path, value: Any) -> None:
    """Afterwards the file holds `value`, or what it held before."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(json.dumps(value).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
