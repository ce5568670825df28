"""How a training goes, on stderr: a bar on a terminal, elsewhere a line now and then. It is stopped by an interrupt."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from coterie.cli import screen
from coterie.training.watching import Watch

EVERY_S = 10.0
"""How often a line is printed where there is no terminal."""


class Lines:
    """Progress as lines, and whether somebody wants to stop."""

    def __init__(self) -> None:
        self.interrupted = False
        self._loss: float | None = None
        self._told = self._began = 0.0
        self._start = self._steps = 0

    def say(self, line: str) -> None:
        screen.complain(line)

    def began(self, done: int, steps: int) -> None:
        self._start, self._steps = done, steps
        self._told = self._began = time.monotonic()

    def stepped(self, step: int) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY_S:
            self._told = now
            self._tell(step, now)

    def learned(self, step: int, loss: float) -> None:
        self._loss = loss
        if step == self._steps:
            self._tell(step, time.monotonic())

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:
        values = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in measurements.items())
        self.say(f"update {step}, held-out prompts: {values}")

    def stopping(self) -> bool:
        return self.interrupted

    def _tell(self, step: int, now: float) -> None:
        rate = (step - self._start) / max(now - self._began, 1e-9)
        loss = "" if self._loss is None else f"loss {self._loss:.4f}, "
        left = _clock((self._steps - step) / max(rate, 1e-9))
        self.say(f"update {step} of {self._steps}, {loss}{rate:.2f} updates/s, {left} left")


class Bar(Lines):
    """Progress as a bar, with lines above it for what is worth one."""

    def __init__(self, bars: Any) -> None:
        super().__init__()
        self._bars = bars
        self._task: Any = None

    def say(self, line: str) -> None:
        self._bars.console.print(screen.shown(line))

    def began(self, done: int, steps: int) -> None:
        super().began(done, steps)
        self._task = self._bars.add_task("training", total=steps, completed=done, loss="", rate="")

    def stepped(self, step: int) -> None:
        rate = (step - self._start) / max(time.monotonic() - self._began, 1e-9)
        self._bars.update(self._task, completed=step, rate=f"{rate:.2f} updates/s")

    def learned(self, step: int, loss: float) -> None:
        self._bars.update(self._task, completed=step, loss=f"loss {loss:.4f}")


def followed(train: Callable[[Watch], dict[str, Any] | None]) -> dict[str, Any]:
    """The card of what was trained, its progress shown; the command ends here where somebody stopped it before."""
    try:
        with shown() as watch:
            card = train(watch)
    except KeyboardInterrupt:
        screen.stop("interrupted; --resume goes on from the last checkpoint, if there is one", screen.INTERRUPTED)
    if card is None:
        raise typer.Exit(screen.INTERRUPTED)
    return card


@contextmanager
def shown() -> Iterator[Lines]:
    """A watch that shows progress; while it is open, an interrupt lets the update at hand end, a second one not."""
    if not sys.stderr.isatty():
        watch = Lines()
        with _stoppable(watch):
            yield watch
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[loss]}", "{task.fields[rate]}")
    with Progress(*columns, TimeRemainingColumn(), console=screen.console(stderr=True)) as bars:
        bar = Bar(bars)
        with _stoppable(bar):
            yield bar


@contextmanager
def _stoppable(watch: Lines) -> Iterator[None]:
    def stop(number: int, _: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        watch.interrupted = True
        watch.say("stopping after this update; once more stops at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
