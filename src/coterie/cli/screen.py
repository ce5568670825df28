"""What commands share in talking to people and programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from coterie.errors import ConfigError
from coterie.types import Json, encodable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from coterie.trace import Trace

T = TypeVar("T")

INTERRUPTED = 130


def console(*, stderr: bool = False) -> Console:
    """Where to print for people; plain text when that is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=not stream.isatty(), width=width)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def print_json(value: Json) -> None:
    """One JSON value on stdout, for programs."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    if not (_writes_unicode() and encodable(text)):
        text = json.dumps(value, indent=2, default=str)
    sys.stdout.write(f"{text}\n")


def show(parts: Iterable[RenderableType]) -> None:
    """Print for people; without the spaces that pad a table's lines where that is no terminal."""
    out = console()
    for part in parts:
        if out.is_terminal:
            out.print(part)
            continue
        with out.capture() as captured:
            out.print(part)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def shown(text: str) -> str:
    """`text` with its control characters made visible: a model's words must not drive the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else _visible(c) for c in text)


def _visible(control: str) -> str:
    return chr(0x2400 + ord(control)) if ord(control) < 0x20 else "\N{REPLACEMENT CHARACTER}"


def shortened(text: str, length: int) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(shown(text[: length * 4]).split())
    return line if len(line) <= length and len(text) <= length * 4 else line[: max(0, length - 1)] + "…"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """A table without lines, which reads well in a terminal and in a file."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    return made


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. An interrupt cancels it, lets it clean up, and ends the program with status 130."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        typer.echo("coterie: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None


def complain(what: object) -> None:
    """Say on stderr what is wrong. It may quote an endpoint, so it is shown like any model's words."""
    typer.echo(f"coterie: {shown(str(what))}", err=True)


def stop(message: str, status: int) -> NoReturn:
    """End the program with a reason on stderr."""
    complain(message)
    raise typer.Exit(status)


def typed(read: Callable[[], str]) -> str:
    """What `read` takes from standard input. Raises `ConfigError` for bytes that are no text."""
    try:
        return as_text(read())
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not valid UTF-8: {error}") from error


def as_text(words: str) -> str:
    """`words`, unless they hold bytes that were no text. Raises `ConfigError`."""
    if not encodable(words):
        raise ConfigError(f"the question is not valid UTF-8: {words!r:.80}")
    return words


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace; where that fails, say so, since the answer must not be lost over it."""
    try:
        trace.save(path)
    except OSError as error:
        complain(f"cannot write the trace {str(path)!r}: {error}")


def check_trace(path: Path | None) -> None:
    """Raises `ConfigError` for a trace file that cannot be written, before anything is spent on it."""
    if path is None:
        return
    try:
        why = "it is a folder" if path.is_dir() else "" if path.absolute().parent.is_dir() else "its folder is missing"
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise ConfigError(f"cannot write the trace {str(path)!r}: {why}")
