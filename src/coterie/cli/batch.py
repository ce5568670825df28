"""``coterie batch``: a method over a file of many rows, resumable at any moment."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.counting import Count, counting
from coterie.cli.sources import ConfigOption, GemmaOption

if TYPE_CHECKING:
    from coterie.batch.jobs import Begun, Job
    from coterie.batch.running import Stop
    from coterie.config import Config

SAID_BYTES = 50 * 2**20
"""Reading a larger input takes long enough to say so."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def batch(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Rows with a prompt, messages, or an OpenAI batch request.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The output: .jsonl, .jsonl.gz or .parquet, as the input.")],
    config: ConfigOption = None,
    method: Annotated[str, typer.Option("--method", "-m", help="Who answers rows that name no model.")] = "default",
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rows under way at the same time, in each process. Default: what the slowest member takes, or 16.",
        ),
    ] = None,
    limit_usd: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop once so much is known to be spent, by earlier runs of this batch too."),
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="Stop once so many rows of this run were asked and not answered.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Each row's seed is made of it and of the row's number.")] = 0,
    prompt_column: Annotated[
        str | None,
        typer.Option(help="The column that is asked. Default: the one of prompt, messages and body that a row has."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="The column in which no value may stand twice. Default: custom_id, or id.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Ask from Ray's actors, on one or many machines.")] = False,
    ray_address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster. Default: one is started here.")
    ] = None,
    ray_actors: Annotated[int, typer.Option(min=1, help="Actors, each with a committee of its own.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on with a batch that was interrupted, or begin anew.")
    ] = True,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Ask rows again that went unanswered, also of a batch that has ended."),
    ] = False,
    accept_gemma_terms: GemmaOption = None,
) -> None:
    """Ask every row of a file. Interrupted in any way, the same command goes on where it was.

    Exit status: 0 when every row was answered; 1 when a row failed, or a limit ended it before; 130 when interrupted.
    """
    from coterie.batch.asking import Recipe
    from coterie.batch.jobs import Job
    from coterie.batch.rows import Columns

    recipe = Recipe(method, seed, Columns(prompt_column, id_column))
    job = Job(source, out, recipe, not resume, limit_usd, max_failures, retry_failed, concurrency)
    if source.exists() and source.stat().st_size > SAID_BYTES:
        screen.complain(f"reading {source}")
    try:
        _run(job, config, accept_gemma_terms, (ray_address, ray_actors) if ray or ray_address else None)
    except OSError as error:
        screen.stop(f"{error}; what has finished is kept, and the same command goes on", 1)
    except KeyboardInterrupt:
        _go_on(screen.INTERRUPTED)


def _run(job: Job, config: Path | None, gemma: bool | None, ray: tuple[str | None, int] | None) -> None:
    from coterie.batch.jobs import begun
    from coterie.cli import sources

    with counting() as count, begun(job, count) as found:
        made = sources.ready(config, gemma, tuple(found.methods) or None)
        found.bind(made)
        _say_beginning(found, made)
        stopped = _asked(found, made, count, ray) if found.left else ""
        if not found.left:
            found.write(count)
    _say_end(found, stopped)


def _asked(found: Begun, made: Config, count: Count, ray: tuple[str | None, int] | None) -> str:
    """Why it stopped; empty when every row has a result."""
    before = found.tally.rows
    total = found.left

    def told() -> None:
        tally = found.tally
        failed = f"{tally.failed} failed, " if tally.failed else ""
        count("rows", tally.rows - before, total, f"{failed}{tally.known_usd:.4f} USD")

    if ray is not None:
        return _on_ray(found, made, ray, told)
    return asyncio.run(_here(found, made, told))


def _on_ray(found: Begun, made: Config, ray: tuple[str | None, int], told: Callable[[], None]) -> str:
    from coterie.batch import on_ray

    wanted = threading.Event()

    def interrupted(*_: object) -> None:
        if wanted.is_set():
            raise KeyboardInterrupt
        _say_waiting()
        wanted.set()

    for sent in SIGNALS:
        signal.signal(sent, interrupted)
    return on_ray.run(found, made, on_ray.Cluster(*ray), wanted, told)


async def _here(found: Begun, made: Config, told: Callable[[], None]) -> str:
    from coterie.batch.running import Stop

    stop = Stop()
    _listen(stop)
    await found.run(made, stop, told)
    return stop.reason


def _listen(stop: Stop) -> None:
    """The first interrupt waits for the rows under way for a moment; the second one does not."""
    from coterie.batch.running import GRACE_S, INTERRUPTED

    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if not stop.reason:
            _say_waiting()
        stop.wanted(INTERRUPTED, 0.0 if stop.reason == INTERRUPTED else GRACE_S)

    for sent in SIGNALS:
        try:
            loop.add_signal_handler(sent, interrupted)
        except NotImplementedError:  # Windows: an interrupt cancels what is under way
            return


def _say_waiting() -> None:
    from coterie.batch.running import GRACE_S

    screen.complain(f"waiting up to {GRACE_S:g} s for the rows under way; interrupt again to cancel them")


def _say_beginning(found: Begun, made: Config) -> None:
    tally = found.tally
    if tally.rows:
        screen.complain(
            f"going on: {tally.rows} of {found.plan.rows} rows have results, {tally.failed} of them failures"
        )
    asked = {name for method in found.methods for name in made.methods[method].asks} or set(made.members)
    unpriced = sorted(name for name in asked if made.members[name].card.price is None)
    if found.job.limit_usd is not None and unpriced:
        screen.complain(f"--limit-usd cannot bound members without a known price: {', '.join(unpriced)}")


def _say_end(found: Begun, stopped: str) -> None:
    from coterie.batch.running import BUDGET, FAILURES

    tally = found.tally
    unknown = f", {tally.unpriced} rows of unknown cost" if tally.unpriced else ""
    spent = f"{tally.known_usd:.4f} USD{unknown}"
    if found.left:
        screen.complain(f"{tally.rows} of {found.plan.rows} rows have results; {spent}")
        if stopped == BUDGET:
            screen.stop(f"--limit-usd {found.job.limit_usd:g} is spent; a higher one goes on", 1)
        if stopped == FAILURES:
            screen.stop(
                "--max-failures is reached; the same command with --retry-failed goes on and asks them again", 1
            )
        _go_on(screen.INTERRUPTED)
    screen.complain(f"{tally.rows} rows: {tally.rows - tally.failed} answered, {tally.failed} failed; {spent}")
    if tally.unanswered:
        screen.complain(f"--retry-failed asks unanswered rows again; until then {found.folder.path} is kept")
    if tally.failed:
        raise typer.Exit(1)


def _go_on(status: int) -> None:
    screen.stop(f"interrupted; to go on: {shlex.join(['coterie', *sys.argv[1:]]).replace(' --restart', '')}", status)
