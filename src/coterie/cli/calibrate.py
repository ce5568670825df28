"""``coterie calibrate``: learn settings out of recorded traces, without asking anybody."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli import calibrate_router, screen
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError, TraceError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coterie.reviewers import Learned, Review
    from coterie.trace import Trace

app = typer.Typer(help="Learn settings out of recorded traces; no member is called.", no_args_is_help=True)
app.command("router")(calibrate_router.router)

MANY = 50
"""Traces, from which on reading them is worth a word."""

DIGITS = 4
"""Of a weight in a configuration."""


class By(StrEnum):
    """How weights are learned."""

    PEOPLE = "people"
    PRD = "prd"
    PICO = "pico"
    UNIFORM = "uniform"


@app.callback()
def calibrate() -> None:
    """Learn settings out of recorded traces; no member is called."""


@app.command()
def reviewers(
    traces: Annotated[list[Path], typer.Argument(help="Files that ask --trace wrote, or folders of them (*.jsonl).")],
    *,
    by: Annotated[
        By,
        typer.Option(
            help="Win rates (PRD), consistency (PiCO), agreement with people's feedback, or none, which shows the win "
            "rates alone."
        ),
    ] = By.PRD,
    feedback: Annotated[
        list[Path] | None, typer.Option(help="With --by people: files of feedback on these runs. Repeat it.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Only runs of this method, by its name or kind (such as peer_blend).")
    ] = None,
    lowest: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="No reviewer weighs less; the best one weighs 1.")
    ] = 0.2,
    force: Annotated[
        bool, typer.Option("--force", help="Learn even from fewer than 4 members or 100 reviews, and say so.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the weights to this file: JSON for *.json, else YAML.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Learn how much each reviewer is to count, from the ballots that members cast on each other's answers.

    Members whose own answers are found better count more, which helps where who answers well also reviews well:
    the last line says whether that shows. The weights are the setting `weights` of `peer_review`, in a `peer_blend`
    that of its `review`.
    """
    _check_out(out)
    read = _read(traces, method)
    if not read.reviews:
        raise ConfigError(_nothing(read, method))
    if (by is By.PEOPLE) != bool(feedback):
        raise ConfigError("--by people and --feedback belong together: the feedback is what is learned from")
    learned = _learned(by, lowest, read.reviews, force, feedback or ())
    if out is not None:
        _write(out, learned, read)
    if json:
        screen.print_json(_as_json(learned, read))
        return
    screen.show(_shown(learned, read))


# ---- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """What the traces hold."""

    reviews: tuple[Review, ...]
    runs: int
    """Runs that were read, of the method that was asked for."""
    unreadable: int
    """Files in folders that are no traces."""
    repeated: int
    """Traces of a run that was read already."""


def _read(paths: Sequence[Path], method: str | None) -> Read:
    """The reviews in all traces, one trace in memory at a time. Raises `TraceError` for a named file that is none."""
    from coterie.reviewers import reviews_of

    named = list(files(paths))
    seen: set[str] = set()
    reviews: list[Review] = []
    unreadable = repeated = runs = 0
    with _progress(len(named)) as step:
        for file, chosen in named:
            trace = _trace(file, chosen)
            step()
            if trace is None:
                unreadable += 1
            elif trace.started.run in seen:
                repeated += 1
            elif method is None or method in (trace.started.method, trace.started.spec.get("kind")):
                seen.add(trace.started.run)
                runs += 1
                reviews += reviews_of(trace)
    return Read(tuple(reviews), runs, unreadable, repeated)


def files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Every file, and whether it was named itself. Raises `ConfigError` for a folder without a trace."""
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        inside = sorted(path.rglob("*.jsonl"))
        if not inside:
            raise ConfigError(f"there is no trace (*.jsonl) in the folder {str(path)!r}")
        yield from ((file, False) for file in inside)


def _trace(file: Path, chosen: bool) -> Trace | None:
    from coterie.trace import Trace

    try:
        return Trace.load(file)
    except TraceError as error:
        if chosen:
            raise
        screen.complain(f"left out: {error}")
        return None


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on stderr while many traces are read; nothing where that is no terminal, or for a few."""
    if total < MANY or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.console(stderr=True)) as bars:
        task = bars.add_task("reading traces", total=total)
        yield lambda: bars.advance(task)


def _nothing(read: Read, method: str | None) -> str:
    if not read.runs and method is not None:
        return f"none of these traces is of a method with the name or kind {method!r}"
    return f"none of the {read.runs} runs read has a ballot by a member on two other members' answers"


# ---- learning ---------------------------------------------------------------------------------


def _learned(by: By, lowest: float, reviews: Sequence[Review], force: bool, feedback: Sequence[Path]) -> Learned:
    from coterie.outcomes.hearing import heard
    from coterie.reviewers import PRD, People, PiCO, Uniform

    match by:
        case By.PEOPLE:
            return People(heard(feedback), lowest).learn(reviews, force=force)
        case By.PRD:
            return PRD(lowest=lowest).learn(reviews, force=force)
        case By.PICO:
            return PiCO(lowest=lowest).learn(reviews, force=force)
        case By.UNIFORM:
            return Uniform().learn(reviews)


# ---- telling ----------------------------------------------------------------------------------


def _weights(learned: Learned) -> dict[str, float]:
    return {name: round(weight, DIGITS) for name, weight in learned.weights.items()}


def _source(learned: Learned, read: Read) -> str:
    return f"learned by {learned.by} from {len(read.reviews)} reviews in {read.runs} runs"


def _as_json(learned: Learned, read: Read) -> dict[str, Any]:
    return {
        "by": learned.by,
        "runs": read.runs,
        "reviews": len(read.reviews),
        "weights": _weights(learned),
        "reviewers": [asdict(row) for row in learned.rows],
        "trusted": learned.trusted,
        "notes": [*learned.notes, *_left_out(read)],
    }


def _left_out(read: Read) -> list[str]:
    said = []
    if read.unreadable:
        said.append(f"{read.unreadable} files in folders are no traces")
    if read.repeated:
        said.append(f"{read.repeated} traces are of runs that were read already")
    return said


def _shown(learned: Learned, read: Read) -> Iterator[RenderableType]:
    from rich.text import Text

    headings = ("reviewer", "weight", "as published", "own answers", "sides with the others", "reviews")
    rows = [
        (
            row.reviewer, f"{row.weight:.3f}", f"{row.raw:.3f}", _number(row.score), _number(row.agreement),
            str(row.reviews),
        )
        for row in learned.rows
    ]  # fmt: skip
    yield screen.table(headings, rows)
    yield Text("")
    for note in (*learned.notes, *_left_out(read)):
        yield Text(f"note: {screen.shown(note)}")
    rho = learned.trusted
    going = "cannot be told" if rho is None else f"rho {rho:.2f}"
    yield Text(f"{_source(learned, read)}; own answers go with siding with the others: {going}", style="dim")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


# ---- files ------------------------------------------------------------------------------------


def _check_out(out: Path | None) -> None:
    """Raises `ConfigError` for a file that cannot be written, before anything is read for it."""
    if out is None:
        return
    why = "it is a folder" if out.is_dir() else "" if out.absolute().parent.is_dir() else "its folder is missing"
    if why:
        raise ConfigError(f"cannot write the weights to {str(out)!r}: {why}")


def _write(out: Path, learned: Learned, read: Read) -> None:
    """Raises `ConfigError` where the file cannot be written."""
    mapping = {"weights": _weights(learned)}
    try:
        out.write_text(_as_text(out, mapping, learned, read), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the weights to {str(out)!r}: {error.strerror}") from error


def _as_text(out: Path, mapping: dict[str, dict[str, float]], learned: Learned, read: Read) -> str:
    if out.suffix == ".json":
        import json as json_text

        return f"{json_text.dumps(mapping, ensure_ascii=False, indent=2)}\n"
    import yaml

    said = [f"# Reviewers' weights, {_source(learned, read)}.", *(f"# Note: {note}." for note in learned.notes)]
    return "\n".join([*said, yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False)])
