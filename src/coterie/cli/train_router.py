"""``coterie train router``: a router, from what members achieved on prompts to a folder that the part `trained` opens.

Each kind is a command of its own, made when it is asked for: no kind's module is loaded before.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from coterie.cli import fields, screen
from coterie.cli.counting import counting
from coterie.cli.sources import JsonOption
from coterie.cli.training_options import DevOption, HeldOutOption, LicenceOption, OutOption, data_of
from coterie.errors import ConfigError, MissingExtra
from coterie.training.routing.kinds import RECIPES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coterie.protocols import Encoder
    from coterie.routers.forecast import Recipe
    from coterie.types import Price

DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="File of outcomes or battles, a trace, or a folder of such; or owner/repository/file.jsonl. "
        "May be given again.",
    ),
]
FeedbackOption = Annotated[
    list[str] | None,
    typer.Option("--feedback", help="File of feedback on the runs whose traces are among the data."),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--source-split", help="Measure the prompts that their own file puts on this side (source_split), such as test."
    ),
]
MemberOption = Annotated[
    list[str] | None, typer.Option("--member", "--members", help="Only this member and others so named. Repeat it.")
]
EncoderOption = Annotated[
    str,
    typer.Option("--encoder", help="What makes vectors, where it reads some: a kind, or {kind: ..., setting: ...}."),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="MEMBER=IN,OUT", help="USD per million input and output tokens. Repeat it."),
]


class Kinds(TyperGroup):
    """A command for each recipe."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return sorted(RECIPES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        return command_of(cmd_name) if cmd_name in RECIPES else None


app = typer.Typer(cls=Kinds, help="Train a router on outcomes, battles or feedback.", no_args_is_help=True)


@cache
def command_of(kind: str) -> Any:
    """The command that trains routers of that kind, with the recipe's settings as its options."""
    module, _, name = RECIPES[kind].partition(":")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    try:
        recipe = getattr(import_module(module), name)
    except ImportError as error:
        alone.command(kind, help=f"Needs {error.name!r}, which is not installed.")(_missing(kind, str(error.name)))
    else:
        alone.command(kind, help=recipe.__doc__)(fields.command(recipe, _router))
    return typer.main.get_command(alone)


def _missing(kind: str, module: str) -> Any:
    def command() -> None:
        raise MissingExtra(f"training a router of the kind {kind!r}", "routers", module)

    return command


def _router(
    recipe: Any,
    *,
    data: DataOption,
    out: OutOption,
    feedback: FeedbackOption = None,
    licence: LicenceOption = None,
    held_out: HeldOutOption = 0.15,
    dev: DevOption = None,
    source_split: SplitOption = None,
    member: MemberOption = None,
    encoder: EncoderOption = "minilm",
    price: PriceOption = None,
    json: JsonOption = False,
) -> None:
    from coterie.training.routing.fitting import RouterData, RouterTask, train

    chosen = RouterData(data_of(data, licence, dev, held_out), tuple(feedback or ()), source_split, tuple(member or ()))
    task = RouterTask(cast("Recipe", recipe), chosen, out, _encoder(recipe, encoder), prices_of(price or ()))
    try:
        with counting() as watch:
            card = train(task, watch)
    except KeyboardInterrupt:
        screen.stop("interrupted; nothing was written", screen.INTERRUPTED)
    if json:
        screen.print_json(card)
        return
    screen.show([*_shown(card), f"\nwritten to {out}"])


def prices_of(given: list[str] | tuple[str, ...]) -> dict[str, Price]:
    """Prices by member. Raises `ConfigError`."""
    from coterie.types import Price

    found = {}
    for text in given:
        member, _, amounts = text.rpartition("=")
        try:
            input_usd, output_usd = (float(amount) for amount in amounts.split(","))
        except ValueError:
            input_usd = output_usd = -1.0
        if not member or not (0 <= input_usd < float("inf") and 0 <= output_usd < float("inf")):
            raise ConfigError(f"--price is MEMBER=IN,OUT in USD per million tokens, such as large=2.5,10, not {text!r}")
        found[member] = Price(input_usd, output_usd)
    return found


def _encoder(recipe: Any, given: str) -> Encoder | None:
    """The encoder wanted, for a recipe that reads vectors. Raises `ConfigError`."""
    from coterie.encoders import from_plain
    from coterie.evaluation.arguments import is_mapping, mapping

    if recipe.reads not in ("vectors", "both"):
        return None
    return from_plain(mapping(given) if is_mapping(given) else given)


def _shown(card: Any) -> list[RenderableType]:
    """The data; what was measured: the comparison's headline, and what the router beats."""
    from coterie.evaluation.routing.entries import HEADLINES, KIND_NAMES

    measured, data = card["measurements"], card["data"]
    parts: list[RenderableType] = [f"{side}: {screen.shown(data[side]['summary'])}" for side in ("learned", "measured")]
    parts += [f"left out: {n} {screen.shown(reason)}" for reason, n in data["left_out"].items()]
    parts.append("")
    if (found := measured["comparison"]) is not None:
        key = found["headline"]
        rows = [
            (row["name"], KIND_NAMES[row["kind"]], *_figure(row["figures"][key]))
            for row in found["rows"]
            if key in row["figures"]
        ]
        parts += [screen.table((f"{found['prompts']} prompts", "", HEADLINES[key].heading, "95 %"), rows), ""]
        parts += [screen.shown(said) for said in found["said"][:1]]
    for name, what in (("squared_error", "mean squared error"), ("battle_accuracy", "battles told rightly")):
        if (beside := measured[name]) is not None:
            value, between = _figure(beside["router"])
            parts.append(
                f"{what}: {value} ({between}), and {_figure(beside['baseline'])[0]} without reading the prompt"
            )
    return [*parts, *(f"note: {screen.shown(note)}" for note in measured["notes"])]


def _figure(found: Any) -> tuple[str, str]:
    if found["value"] is None:
        return "", ""
    between = "" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"
    return f"{found['value']:.4f}", between
