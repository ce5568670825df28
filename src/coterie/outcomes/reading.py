"""Reading what routers learn from: outcome files, battle files and recorded runs, each known by its first record.

- outcomes: ``{prompt, outcomes: {member: {score, cost?, tokens?, samples?}}}``, with ``benchmark`` and ``source_split``
  where the file has them;
- battles: ``{prompt, model_a, model_b, winner}``, the winner being ``model_a``, ``model_b`` or ``tie``, or the arena's
  columns ``winner_model_a``, ``winner_model_b`` and ``winner_tie``;
- traces, as ``coterie ask --trace`` writes them, with files of feedback on their runs.

Files are JSON Lines or a JSON list, plain or gzipped; a folder stands for the files in it. Answers' texts are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from coterie.errors import ConfigError
from coterie.examples.files import ENDINGS, place_of
from coterie.outcomes.arena import Battle, Fights, battle_of
from coterie.outcomes.hearing import Heard, heard, lessons_of
from coterie.outcomes.lines import Line, Watch, lines, silent
from coterie.outcomes.outcome import Lessons
from coterie.outcomes.rows import row_of
from coterie.outcomes.table import Table
from coterie.trace import Trace
from coterie.types import Json

Shape = Literal["outcomes", "battles", "trace"]


@dataclass(frozen=True)
class Read:
    """What some files hold."""

    lessons: Lessons
    left_out: Counter[str]
    """What was not taken, by the reason."""


def read(names: Sequence[str], feedback: Sequence[str] = (), watch: Watch = silent) -> Read:
    """Everything in the files, or folders, of these names, in their order.

    A prompt that stands in them more than once is kept as often (`tally` counts it). Raises `ConfigError` that names
    the place for a record that is not as it should be, `TraceError` for a spoiled trace, and `MissingExtra` where a
    file has to be fetched from the hub and its client is absent.
    """
    reading = _Reading(heard([place_of(name) for name in feedback], watch))
    files = [file for name in names for file in _files(name)]
    for number, file in enumerate(files, 1):
        if reading.file(file, watch):
            watch("reading traces", number, len(files))
    if feedback and not reading.runs:
        raise ConfigError("feedback speaks of recorded runs: name their traces among the data")
    return reading.done()


def shape_of(first: Line) -> Shape:
    """What a file holds, by its first record. Raises `ConfigError` where that is none of the shapes."""
    record = first.record if isinstance(first.record, dict) else {}
    for key, shape in _KEYS.items():
        if key in record:
            return shape
    keys = ", ".join(map(repr, record)) or "nothing"
    raise ConfigError(f"{first.place}: none of the keys {', '.join(map(repr, _KEYS))} is in it, but {keys}")


_KEYS: dict[str, Shape] = {"outcomes": "outcomes", "model_a": "battles", "event": "trace"}


class _Reading:
    """What was read so far."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._table, self._fights = Table(), Fights()
        self._left_out: Counter[str] = Counter()
        self.runs: set[str] = set()
        """Those whose traces were read."""

    def file(self, file: Path, watch: Watch) -> bool:
        """Afterwards what the file holds is there; true where that was a trace."""
        found = lines(file, watch)
        first = next(found, None)
        if first is None:
            raise ConfigError(f"{str(file)!r} is empty")
        shape = shape_of(first)
        if shape == "trace":
            self._trace(file)
            return True
        for line in chain((first,), found):
            if shape == "outcomes":
                self._table.add(_read(row_of, line))
            else:
                self._fights.add(_read(battle_of, line))
        return False

    def _trace(self, file: Path) -> None:
        trace = Trace.load(file)
        self.runs.add(trace.started.run)
        for lesson in lessons_of(trace, self._heard, str(file), self._left_out):
            if isinstance(lesson, Battle):
                self._fights.add(lesson)
            else:
                self._table.add(lesson)

    def done(self) -> Read:
        """Raises `ConfigError` where nothing was read."""
        lost = sum(len(said) for run, said in self._heard.items() if run not in self.runs)
        if lost:
            self._left_out["pieces of feedback on runs that no trace is of"] = lost
        outcomes = self._table.outcomes() if len(self._table) else None
        battles = self._fights.battles() if len(self._fights) else None
        if outcomes is None and battles is None:
            why = "".join(f"; {n} {reason}" for reason, n in self._left_out.items())
            raise ConfigError(f"there is nothing to learn from in these files{why}")
        return Read(Lessons(outcomes, battles), self._left_out)


T = TypeVar("T")


def _read(reader: Callable[[Json, str], T], line: Line) -> T:
    try:
        return reader(line.record, line.place)
    except ValueError as error:
        raise ConfigError(f"{line.place}: {error}") from None


def _files(name: str) -> Iterator[Path]:
    """The file of that name; of a folder the files in it that could be data, by name."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        yield place_of(name)
        return
    found = sorted(file for file in folder.iterdir() if file.name.endswith(ENDINGS))
    if not found:
        raise ConfigError(f"the folder {name!r} holds no file that ends in {', '.join(ENDINGS)}")
    yield from found
