"""Fetching local models, with consent where it is needed and progress to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from coterie.config import Config
    from coterie.weights import Progress, Weights

GEMMA = "gemma-3-270m"


def pull_needed(config: Config, methods: tuple[str, ...] | None, consent: bool | None) -> None:
    """Fetch the catalogue's models that the members of `methods` (default: every member) run on."""
    asked = {name for m in methods or () if m in config.methods for name in config.methods[m].asks}
    wanted = [member for name, member in config.members.items() if methods is None or name in asked]
    local = [member for member in wanted if type(member).__name__ == "LlamaCppMember"]
    if not local:
        return
    from coterie import weights

    for model in (getattr(member, "model", "") for member in local):
        if model in weights.CATALOGUE:
            pull(weights.CATALOGUE[model], consent_to(model, consent))


def pull(entry: Weights, consent: bool) -> None:
    """Fetch one model, unless it is here, and show how it goes on stderr."""
    from coterie import weights

    if any(here.entry is entry and here.path for here in weights.listed()):
        return
    with _progress(entry) as progress:
        weights.pull(entry.name, consent=consent, progress=progress)


def consent_to(name: str, given: bool | None) -> bool:
    """Whether the person agrees to a model's terms: as given, as remembered, or as they answer on a terminal."""
    from coterie import weights

    if given is not None:
        return given
    if weights.has_consent(name):
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    entry = weights.CATALOGUE[name]
    typer.echo(f"{entry.title}, {entry.download_mb} MB. {entry.terms}", err=True)
    return typer.confirm("Do you accept these terms?", err=True)


@contextmanager
def _progress(entry: Weights) -> Iterator[Progress]:
    label = f"{entry.title}, {entry.licence}"
    if sys.stderr.isatty():
        yield from _bar(label)
        return
    typer.echo(f"coterie: fetching {label}, {entry.download_mb} MB", err=True)
    began = time.monotonic()
    yield lambda _what, _done, _total: None
    typer.echo(f"coterie: fetched {label} in {time.monotonic() - began:.0f} s", err=True)


def _bar(label: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    from coterie.cli.screen import console

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console(stderr=True)) as bars:
        task = bars.add_task(label, total=None)
        yield lambda what, done, total: bars.update(task, description=f"{label}: {what}", completed=done, total=total)
