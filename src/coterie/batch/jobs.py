"""A job: one input, one output, and what its answers depend on; begun, gone on with, and brought to its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coterie.batch import merging, sources
from coterie.batch.asking import Asker, Recipe
from coterie.batch.binding import bound_to
from coterie.batch.folder import Folder, Plan, Watch
from coterie.batch.journals import Tally
from coterie.batch.rows import BLOCK_ROWS, Block
from coterie.batch.running import BUDGET, FAILURES, Running, Stop
from coterie.committee import Committee
from coterie.config import Config
from coterie.errors import ConfigError

AT_ONCE = 16
"""Rows under way where no member says how much it takes."""


@dataclass(frozen=True)
class Job:
    """What is wanted."""

    source: Path
    output: Path
    recipe: Recipe = Recipe()  # noqa: RUF009
    restart: bool = False
    limit_usd: float | None = None
    max_failures: int | None = None
    """So many rows of one run may go unanswered before it stops: an endpoint may be away."""
    retry_failed: bool = False
    """Whether rows that were asked before and not answered are asked again."""
    at_once: int | None = None
    """Rows under way at the same time; by default what the members take."""
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        """Raises `ConfigError`."""
        sources.ending(self.source)
        if sources.ending(self.output) == ".parquet":
            sources.arrow()
        if self.output.is_dir() or not self.output.absolute().parent.is_dir():
            raise ConfigError(f"cannot write {str(self.output)!r}: it is a folder, or its folder is missing")
        if self.output.exists() and self.source.exists() and os.path.samefile(self.source, self.output):
            raise ConfigError(f"{str(self.output)!r} is the input: the output needs a file of its own")

    def rows_at_once(self, config: Config, methods: list[str]) -> int:
        """As many rows as the slowest member asked takes calls: a call that waits for its turn runs out of time."""
        if self.at_once is not None:
            return self.at_once
        asked = {name for method in methods for name in config.methods[method].asks} or set(config.members)
        most = [config.members[name].card.max_concurrency for name in asked]
        return min((n for n in most if n is not None), default=AT_ONCE)


@dataclass(eq=False)
class Begun:
    """A job whose input was read and whose journals are open."""

    job: Job
    folder: Folder
    plan: Plan
    tally: Tally = field(default_factory=Tally)
    complete: bytearray = field(default_factory=bytearray)
    """For each block, from 1, whether all its rows have results."""

    unanswered_before: int = 0
    """By earlier runs."""

    @property
    def left(self) -> int:
        """Rows without a result."""
        return self.plan.rows - self.tally.rows

    @property
    def methods(self) -> list[str]:
        """The method that is asked; none where rows may name any model."""
        return [] if self.plan.bodies else [self.job.recipe.method]

    def bind(self, config: Config) -> None:
        """Raises `ConfigError` for a method that does not exist, or settings that are not what they were."""
        only_bodies = 0 < self.plan.rows == self.plan.bodies
        if not only_bodies and self.job.recipe.method not in config.methods:
            known = ", ".join(sorted(config.methods)) or "none"
            raise ConfigError(f"there is no method {self.job.recipe.method!r}; there are: {known}")
        self.folder.bind(bound_to(config, self.job.recipe, any_model=bool(self.plan.bodies)))

    def look(self, watch: Watch, *, retry: bool) -> None:
        """Afterwards it is known how far it has come, whoever wrote the journals; `retry` as of `Folder.kept`."""
        self.tally, self.complete = self.folder.tally(self.plan, watch, retry=retry)

    def blocks(self) -> Iterator[Block]:
        """Those that are not complete."""
        return (block for block in self.folder.blocks() if not self.complete[block.number])

    def enough(self) -> str:
        """Why no further row is to be asked; empty to go on."""
        job, tally = self.job, self.tally
        if job.limit_usd is not None and tally.known_usd >= job.limit_usd:
            return BUDGET
        unanswered = tally.unanswered - self.unanswered_before
        return FAILURES if job.max_failures is not None and unanswered >= job.max_failures else ""

    async def run(self, config: Config, stop: Stop, told: Callable[[], None] = lambda: None) -> None:
        """Afterwards every row has a result, or `stop` says why not. `told` is called after each row."""

        def finished(more: Tally) -> None:
            self.tally += more
            if reason := self.enough():
                stop.wanted(reason)
            told()

        finished(Tally())
        at_once = self.job.rows_at_once(config, self.methods)
        async with Committee.from_config(config) as committee:
            with sources.opened(self.job.source, self.job.recipe.columns) as reader:
                asker = Asker(committee, self.job.recipe)
                running = Running(self.folder, reader, asker, at_once, stop, finished, self.job.retry_failed)
                await running.run(self.blocks())

    def write(self, watch: Watch) -> None:
        """Afterwards the output stands there whole, in the input's order.

        The journals are left as long as rows are unanswered, so that these may be asked again.
        """
        self.folder.check_input(self.plan, self.job.source)
        with sources.opened(self.job.source, self.job.recipe.columns) as reader:
            merging.write(self.folder, self.plan, reader, watch)
        if not self.tally.unanswered:
            self.folder.remove()


@contextmanager
def begun(job: Job, watch: Watch) -> Iterator[Begun]:
    """`job`, begun or gone on with; while it is entered, no other process works on its output. Raises `ConfigError`."""
    folder = Folder(job.output)
    if job.output.exists() and folder.plan() is None and not job.restart:
        raise ConfigError(f"{str(job.output)!r} is finished; --restart asks every row again")
    if folder.path.exists() and not folder.path.is_dir():
        raise ConfigError(f"{str(folder.path)!r} is in the way: the batch in progress is kept in a folder of that name")
    sources.opened(job.source, job.recipe.columns).__exit__(None, None, None)  # nothing is made for one that is none
    with folder.held():
        plan = _planned(job, folder)
        found = Begun(job, folder, plan)
        found.look(watch, retry=job.retry_failed)
        found.unanswered_before = found.tally.unanswered
        yield found


def _planned(job: Job, folder: Folder) -> Plan:
    if not job.restart and (plan := folder.plan()) is not None:
        folder.check_input(plan, job.source)
        return plan
    folder.clear()
    with sources.opened(job.source, job.recipe.columns) as reader:
        return folder.make_plan(reader, job.source, job.recipe.columns, job.block_rows)
