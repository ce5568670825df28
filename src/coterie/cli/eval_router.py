"""``coterie eval router``: what routers are worth, on prompts whose outcomes are known for every member."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.counting import Count, counting
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from coterie.evaluation.blending.header import Header
    from coterie.evaluation.blending.report import Report
    from coterie.evaluation.blending.tables import Table
    from coterie.evaluation.routing.forecasts import Forecasts, Timing
    from coterie.evaluation.routing.report import Comparison
    from coterie.protocols import Encoder
    from coterie.training.routing.comparing import Setup
    from coterie.training.routing.contenders import Contender
    from coterie.training.routing.readying import Ready, Wanted
    from coterie.types import Price

DataOption = Annotated[
    list[str],
    typer.Option("--data", help="Outcomes of all members, or battles to learn from (JSON Lines, plain or gzipped)."),
]
RouterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--router",
        "--routers",
        "-r",
        help="A kind, {kind: ..., setting: ...}, or a trained router's folder; NAME= before it names it. Repeat it. "
        "Default: every kind that trains no transformer. Length, bag of words and neighbours are always there.",
    ),
]
TestOption = Annotated[
    list[str] | None, typer.Option("--test", help="Outcomes to measure on, instead of folds of the data.")
]
FoldsOption = Annotated[int, typer.Option(min=2, help="Parts, each forecast by routers that learned from the others.")]
HeldOutOption = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Measure on the share of prompts that training sets aside, instead of folds."),
]
WeakOption = Annotated[str | None, typer.Option(help="The member that is asked where it will do.")]
StrongOption = Annotated[str | None, typer.Option(help="The member that is asked where it is worth it.")]
MemberOption = Annotated[
    list[str] | None, typer.Option(help="A pool of this member and others so named, by quality and cost. Repeat it.")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", help="Only prompts of this group: mmlu takes mmlu/anatomy too. Repeat it.")
]
SizesOption = Annotated[
    str | None,
    typer.Option("--train-sizes", help="Also learn from fewer prompts: 250,500,1500, or 'default' for a row of sizes."),
]
EncoderOption = Annotated[
    str, typer.Option(help="What makes vectors for routers that read them: a kind, or {kind: ..., setting: ...}.")
]
UsdOption = Annotated[
    list[str] | None,
    typer.Option("--usd", metavar="MEMBER=USD", help="What a query costs where the data do not say it. Repeat it."),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="MEMBER=IN,OUT",
        help="USD per million tokens, where the data say tokens and no cost. Repeat it.",
    ),
]
RouterUsdOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ROUTER=USD", help="What asking a router costs itself, for each query. Repeat it."),
]
ForecastsOption = Annotated[
    list[str] | None,
    typer.Option("--forecasts", metavar="NAME=FILE", help="Forecasts made elsewhere (--save-forecasts). Repeat it."),
]
SaveOption = Annotated[
    Path | None, typer.Option("--save-forecasts", help="Also write each router's forecasts to this folder.")
]
ResamplesOption = Annotated[int, typer.Option(min=1, help="Samples of the prompts that intervals are made of.")]
SeedOption = Annotated[int, typer.Option(help="Of the samples.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Also write report.html, report.md, tables, figures and results.json."),
]


def router(
    *,
    data: DataOption,
    router: RouterOption = None,
    test: TestOption = None,
    folds: FoldsOption = 5,
    held_out: HeldOutOption = None,
    weak: WeakOption = None,
    strong: StrongOption = None,
    member: MemberOption = None,
    only: OnlyOption = None,
    train_sizes: SizesOption = None,
    encoder: EncoderOption = "minilm",
    usd: UsdOption = None,
    price: PriceOption = None,
    router_usd: RouterUsdOption = None,
    forecasts: ForecastsOption = None,
    save_forecasts: SaveOption = None,
    resamples: ResamplesOption = 1000,
    seed: SeedOption = 42,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Compare routers with the oracle, the random mix, every single member and simple baselines.

    No member is called: the data say what each one's answer was worth. Every prompt is forecast by a router that has
    not learned from it. Two members are compared by the share of calls, more by quality and cost.
    """
    from coterie.cli.train_router import prices_of
    from coterie.evaluation.significance import Bootstrap
    from coterie.training.routing.contenders import lineup
    from coterie.training.routing.readying import Wanted

    wanted = Wanted(
        folds=folds,
        held_out=held_out,
        weak=weak,
        strong=strong,
        members=tuple(member or ()),
        groups=tuple(only or ()),
        usd=numbers(usd, "--usd"),
        prices=prices_of(price or ()),
        bootstrap=Bootstrap(resamples=resamples, seed=seed),
    )
    sizes = sizes_of(train_sizes)
    contenders = lineup(router or ())
    asking_usd = numbers(router_usd, "--router-usd")
    job = Job(contenders, encoder, asking_usd, files(forecasts), wanted.prices, sizes, save_forecasts)
    with counting() as watch:
        made = job.done(_ready(data, test, wanted, watch), watch)
    header = header_of(data, test, wanted, job, made)
    tell(made, header, out, as_json=json)


# ---- what is wanted ---------------------------------------------------------------------------------


def numbers(given: Sequence[str] | None, option: str) -> dict[str, float]:
    """Numbers by name. Raises `ConfigError`."""
    found = {}
    for text in given or ():
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise ConfigError(f"{option} is NAME=USD, such as large=0.002, not {text!r}") from None
        if not name:
            raise ConfigError(f"{option} is NAME=USD, such as large=0.002, not {text!r}")
    return found


def files(given: Sequence[str] | None) -> dict[str, Path]:
    """Files by the router's name. Raises `ConfigError`."""
    found = {}
    for text in given or ():
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise ConfigError(f"--forecasts is NAME=FILE, such as bert=bert.npz, not {text!r}")
        found[name] = Path(file)
    return found


def sizes_of(given: str | None) -> tuple[int, ...]:
    """Numbers of prompts to learn from. Raises `ConfigError`."""
    from coterie.evaluation.routing.learned import DEFAULT_SIZES

    if given is None or given == "default":
        return () if given is None else DEFAULT_SIZES
    try:
        found = tuple(int(size) for size in given.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise ConfigError(f"--train-sizes are numbers of prompts, such as 250,500,1500, not {given!r}")
    return found


def _ready(data: Sequence[str], test: Sequence[str] | None, wanted: Wanted, watch: Count) -> Ready:
    from coterie.outcomes.reading import read
    from coterie.training.routing.readying import ready

    learned = read(data, watch=watch)
    other = read(test, watch=watch).lessons if test else None
    found = ready(learned.lessons, other, wanted)
    notes = [f"{n} {why} were left out" for why, n in learned.left_out.items()]
    return replace(found, notes=(*found.notes, *notes))


# ---- the work ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Job:
    """What is done with data that are ready."""

    contenders: Sequence[Contender]
    encoder: str
    router_usd: dict[str, float]
    files: dict[str, Path]
    prices: Mapping[str, Price]
    sizes: tuple[int, ...]
    save: Path | None

    def done(self, ready: Ready, watch: Count) -> Comparison:
        """Everything forecast and measured. Raises `ConfigError` where nothing could be forecast."""
        from coterie.evaluation.routing.board import measure
        from coterie.evaluation.routing.report import Comparison
        from coterie.training.routing.comparing import Setup, TextVectors
        from coterie.training.routing.learning import learning_curve

        notes = [*ready.notes, *self._checked(ready)]
        encoder = self._encoder()
        setup = Setup(ready.trial, TextVectors(encoder, watch), self.prices)
        forecasts = self._forecasts(ready, setup, notes, watch)
        board = measure(ready.ground, forecasts, watch)
        there = [one for one in self.contenders if one.name in board.named]
        learned = learning_curve(there, setup, board, self.sizes, watch) if self.sizes else None
        timing = self._timed(encoder, ready, forecasts)
        return Comparison(board, timing, learned, tuple(notes))

    def _checked(self, ready: Ready) -> Iterator[str]:
        """Raises `ConfigError` for a trained router that has learned from what it is measured on."""
        from coterie.training.routing.seen import refuse, seen

        for one in self.contenders:
            if one.folder is None:
                continue
            known = seen(one.folder)
            if known is None:
                yield f"{one.name}: its folder does not say what it was trained on; on such prompts it is flattered"
            else:
                refuse(one.name, known, ready.ground.outcomes)

    def _encoder(self) -> Encoder | None:
        """What a trained router names, if there is one; else the one wanted."""
        from coterie.encoders import from_plain
        from coterie.evaluation.arguments import is_mapping, mapping

        if not any(one.reads_vectors for one in self.contenders):
            return None
        made = from_plain(mapping(self.encoder) if is_mapping(self.encoder) else self.encoder)
        for one in self.contenders:
            if one.artifact is not None and one.reads_vectors:
                one.artifact.checked(made)
        return made

    def _forecasts(self, ready: Ready, setup: Setup, notes: list[str], watch: Count) -> list[Forecasts]:
        """Of all that could be fitted; of the others a note says why not."""
        from coterie.evaluation.routing import forecast_files
        from coterie.training.routing.comparing import forecast

        found: list[Forecasts] = []
        for one in self.contenders:
            try:
                found.append(forecast(one, setup, watch))
            except ConfigError as error:
                notes.append(f"{one.name} is left out: {error}")
                screen.complain(notes[-1])
        if self.save is not None:
            for each in found:
                forecast_files.save(self.save / f"{each.name}.npz", each, ready.ground.outcomes)
        found += [forecast_files.read(name, file, ready.ground.outcomes) for name, file in self.files.items()]
        if not found:
            raise ConfigError("no router could be measured: see above why not")
        return [replace(each, usd_per_query=self.router_usd.get(each.name, 0.0)) for each in found]

    def _timed(
        self, encoder: Encoder | None, ready: Ready, forecasts: Sequence[Forecasts]
    ) -> tuple[str, Timing] | None:
        from coterie.encoders import to_plain
        from coterie.training.routing.comparing import timed_encoder

        if encoder is None or not any(each.reads_vectors for each in forecasts):
            return None
        return str(to_plain(encoder)["kind"]), timed_encoder(encoder, ready.ground.outcomes.prompts)


# ---- what is told -----------------------------------------------------------------------------------


def header_of(data: Sequence[str], test: Sequence[str] | None, wanted: Wanted, job: Job, made: Comparison) -> Header:
    """What was run, with what. No folder of this machine is in it but what the command names."""
    import os
    import platform
    from dataclasses import asdict
    from datetime import UTC, datetime
    from importlib.metadata import version

    from coterie._version import __version__
    from coterie.evaluation.blending.header import Header

    names = ", ".join(Path(name).name.partition(".")[0] for name in (*data, *(test or ())))
    only = f" ({', '.join(wanted.groups)})" if wanted.groups else ""
    recipes = {one.name: _told(one) for one in job.contenders}
    return Header(
        f"Routers on {names}{only}",
        datetime.now(UTC).isoformat(timespec="seconds"),
        members=tuple({"name": name} for name in made.board.ground.outcomes.members),
        versions={"coterie": __version__, "python": platform.python_version(), "numpy": version("numpy")},
        hardware=f"{platform.machine()}, {os.cpu_count()} cores",
        settings={"wanted": asdict(wanted), "routers": recipes, "encoder": job.encoder, "sizes": list(job.sizes)},
        seed=wanted.bootstrap.seed,
        command=shlex.join(["coterie", *sys.argv[1:]]),
    )


def _told(contender: Contender) -> object:
    """A contender as plain data."""
    from dataclasses import asdict, is_dataclass

    recipe = contender.recipe
    if recipe is None:
        return {"folder": str(contender.folder)}
    return {"kind": recipe.kind, **(asdict(recipe) if is_dataclass(recipe) else {})}


def tell(made: Comparison, header: Header, out: Path | None, *, as_json: bool) -> None:
    """Print the comparison, and write it where a folder is named."""
    from coterie.evaluation.routing import report

    if out is not None:
        report.write(made, header, out)
    found = report.report(made, header)
    if as_json:
        screen.print_json(report.as_json(made, found))
        return
    screen.show(_shown(found, made.board.best_single))
    if out is not None:
        typer.echo(f"the report: {out / 'report.html'}")


def _shown(found: Report, best_single: str) -> Iterator[RenderableType]:
    """Words, and the tables that are not for those who look closer; of single members the best one."""
    from rich.text import Text

    from coterie.cli.report import section

    said = found.told
    for sentence in said.run:
        yield Text(screen.shown(sentence))
    yield Text(screen.shown(said.verdict), style="bold")
    yield Text("")
    for table in found.tables:
        if not table.aside:
            yield from section(table.title, _table(table, best_single))
    for sentence in (*said.findings, *(f"Beware: {warning}" for warning in said.warnings)):
        yield Text(screen.shown(sentence))


def _table(table: Table, best_single: str) -> RenderableType:
    from coterie.evaluation.routing.entries import KIND_NAMES

    rows = [row for row in table.rows if row[1].text != KIND_NAMES["single"] or row[0].text == best_single]
    return screen.table([head.text for head in table.heads], [[cell.said for cell in row] for row in rows])
