"""``coterie eval``: what rankers and fusers are worth, on examples whose quality is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import eval_ablate, eval_convqa, eval_fuser, eval_router, screen
from coterie.cli import eval_table as telling
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from coterie.committee import Committee
    from coterie.evaluation.asking import Asked, Ruled
    from coterie.evaluation.resampling import Draws
    from coterie.evaluation.table import Table
    from coterie.examples import Example

app = typer.Typer(help="Evaluate rankers, fusers and routers on data whose quality is known.", no_args_is_help=True)
app.command("fuser")(eval_fuser.fuser)
app.command("convqa")(eval_convqa.convqa)
app.command("ablate")(eval_ablate.ablate)
app.command("router")(eval_router.router)

DataArgument = Annotated[
    str,
    typer.Argument(help="A file of examples (JSON Lines or JSON, plain or gzipped), or owner/repository/file.jsonl."),
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most so many examples, drawn by the seed.")]
HeldOutOption = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Only the share of prompts that training with this share sets aside."),
]
SeedOption = Annotated[int, typer.Option(help="Of the examples drawn, the judges' draws and the intervals.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Also write table.md, table.json and the charts to this folder.")
]


@app.command()
def rank(
    data: DataArgument,
    *,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="A judge's kind, a trained ranker's folder, or {kind: ..., setting: ...}; "
            "NAME= before it names it. Repeat it for several."
        ),
    ] = None,
    rule: Annotated[str, typer.Option(help="The rule that makes a ranking of what a judge says.")] = "max_logits",
    limit: LimitOption = None,
    held_out: HeldOutOption = None,
    seed: SeedOption = 42,
    metric: Annotated[list[str] | None, typer.Option(help="A score of the data to show, instead of the usual.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="A model of the data to measure picks against.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Configuration with the members that a judge asks."),
    ] = None,
    json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Compare judges with the longest answer, every single model, oracles and chance.

    Prints what the data's labels can say: GPT-Rank, Top-k and correlations where every pair is labelled, best-of-N
    accuracy, win rates or pairs agreed where they are not; each with its 95 % bootstrap interval over prompts.
    """
    from coterie.evaluation import judges as named
    from coterie.evaluation.asking import Ruled
    from coterie.ranking import rule as checked

    checked(rule)
    ruled = [Ruled(name, part, rule) for name, part in map(named.judge_of, judge or ())]
    committee = _committee(config)
    folder = telling.ready(out)
    examples = drawn(read_examples(data, held_out), limit, seed)
    draws = _draws(examples, seed)
    asked = screen.run(_ask(committee, examples, ruled, seed)) if ruled else []
    table = _table(examples, asked, draws, metric or (), against or ())
    how = telling.how_made(data, held_out, limit, seed, ruled, asked)
    title = f"Rankers on {Path(data).name.partition('.')[0]}"
    if folder is not None:
        telling.write(folder, table, title, how)
    if json:
        screen.print_json(telling.as_json(table, how))
        return
    screen.show(telling.shown(table, how))


# ---- examples ---------------------------------------------------------------------------------


def read_examples(data: str, held_out: float | None) -> list[Example]:
    """The examples of a file, or those of the share that is set aside. Raises `ConfigError`, also for none."""
    from coterie import examples as exemplary

    found = list(exemplary.read(data))
    if held_out is not None:
        found = exemplary.held_out(found, held_out)[1]
    if not found:
        raise ConfigError(f"{data!r} holds no example{' among those held out' if held_out is not None else ''}")
    return found


def drawn(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """At most `limit` of the examples, in their order."""
    if limit is None or limit >= len(examples):
        return list(examples)
    return [examples[n] for n in sorted(random.Random(seed).sample(range(len(examples)), limit))]


def _draws(examples: Sequence[Example], seed: int) -> Draws:
    """The bootstrap's samples, before anything is spent on what they are for. Raises `MissingExtra`."""
    from coterie.evaluation.resampling import FOR_TABLES, Draws
    from coterie.examples.split import prompt_key

    return Draws([prompt_key(example) for example in examples], replace(FOR_TABLES, seed=seed))


def _table(
    examples: Sequence[Example], asked: Sequence[Asked], draws: Draws, metrics: Sequence[str], against: Sequence[str]
) -> Table:
    from coterie.evaluation import rows
    from coterie.evaluation.tabulating import make_table

    judged = [rows.of_ranks(a.name, "judge", a.ranks, a.notes) for a in asked]
    table = make_table(examples, judged, draws, metrics=metrics, against=against)
    if not table.heads:
        raise ConfigError("these examples have neither labels nor scores that say which candidate is better")
    return table


# ---- asking -----------------------------------------------------------------------------------


def _committee(config: Path | None) -> Committee:
    """The members that judges may ask; nobody where no configuration is named."""
    from coterie.cli import sources
    from coterie.committee import Committee

    return Committee.from_config(sources.load(config)) if config else Committee((), {})


async def _ask(committee: Committee, examples: Sequence[Example], ruled: Sequence[Ruled], seed: int) -> list[Asked]:
    """What each judge makes of the examples, one judge after another, so that their times can be compared."""
    from coterie.evaluation.asking import ask_all

    asked: list[Asked] = []
    async with committee:
        for one in ruled:
            with progress(f"{one.name} ranks", len(examples)) as step:
                asked.append(await ask_all(committee, one, examples, seed=seed, on_done=step))
    return asked


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left on stderr, or a line at the end where that is no terminal."""
    import sys
    import time

    if not sys.stderr.isatty():
        began = time.monotonic()
        yield lambda: None
        took = time.monotonic() - began
        typer.echo(f"coterie: {what} {total} examples in {took:.1f} s ({total / max(took, 1e-9):.1f}/s)", err=True)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=screen.console(stderr=True)) as bars:
        task = bars.add_task(what, total=total, rate="")
        began = time.monotonic()
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            bars.update(task, advance=1, rate=f"{done / max(time.monotonic() - began, 1e-9):.1f}/s")

        yield step
