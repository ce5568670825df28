"""``coterie train``: make the checkpoints that judges and fusers open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli import fields, screen, train_fuser, training_progress
from coterie.cli.sources import JsonOption
from coterie.training.settings import AnyTraining, PairRankerTraining, PointwiseRankerTraining

if TYPE_CHECKING:
    from coterie.training.corpus import Data

app = typer.Typer(help="Train rankers and fusers on files of examples.", no_args_is_help=True)

DataOption = Annotated[
    list[str],
    typer.Option("--data", help="File of examples, or owner/repository/file.jsonl of the hub; may be given again."),
]
LicenceOption = Annotated[
    list[str] | None,
    typer.Option("--licence", help="Licence of the data, for the card: one for all files, or one for each in order."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the checkpoint; it must be new or empty.")]
HeldOutOption = Annotated[
    float, typer.Option("--held-out", help="Share of the prompts that is measured and never learned.")
]
DevOption = Annotated[str | None, typer.Option("--dev", help="File to measure instead of held-out prompts.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the training that was stopped in --out.")]


def pair_ranker(
    settings: PairRankerTraining,
    *,
    data: DataOption,
    out: OutOption,
    licence: LicenceOption = None,
    held_out: HeldOutOption = 0.15,
    dev: DevOption = None,
    resume: ResumeOption = False,
    json: JsonOption = False,
) -> None:
    """Train LLM-Blender's pair ranker: an encoder that reads two candidates side by side and says which is better."""
    _train(settings, _data(data, licence, dev, held_out), out, resume, json)


def pointwise_ranker(
    settings: PointwiseRankerTraining,
    *,
    data: DataOption,
    out: OutOption,
    licence: LicenceOption = None,
    held_out: HeldOutOption = 0.15,
    dev: DevOption = None,
    resume: ResumeOption = False,
    json: JsonOption = False,
) -> None:
    """Train a ranker that reads one candidate at a time: a pointwise ranker, SimCLS or SummaReranker."""
    _train(settings, _data(data, licence, dev, held_out), out, resume, json)


app.command("pair-ranker")(fields.command(PairRankerTraining, pair_ranker))
app.command("pointwise-ranker")(fields.command(PointwiseRankerTraining, pointwise_ranker))
app.command("fuser")(train_fuser.fuser)


def _data(names: list[str], licences: list[str] | None, dev: str | None, held_out: float) -> Data:
    from coterie.training.corpus import Data, files

    return Data(files(names, licences or ()), dev, held_out)


def _train(settings: AnyTraining, data: Data, out: Path, resume: bool, json: bool) -> None:
    from coterie.training.ranking import Task, train

    try:
        with training_progress.shown() as watch:
            card = train(Task(settings, data, out, resume), watch)
    except KeyboardInterrupt:
        screen.stop("interrupted; --resume goes on from the last checkpoint, if there is one", screen.INTERRUPTED)
    if card is None:
        raise typer.Exit(screen.INTERRUPTED)
    if json:
        screen.print_json(card)
        return
    screen.show([_measurements(card["measurements"]), f"\nwritten to {out}"])


def _measurements(found: Any) -> Any:
    """The card's table: pairwise accuracy beside what a ranker has to beat."""
    groups = (("label", found["by_label"]), ("origin", found["by_origin"]))
    rows = [("all", found["all"]), *((f"{by} {name}", of) for by, group in groups for name, of in group.items())]
    cells = [
        (name, str(of["ranker"]["pairs"]), *(_share(of[rival]["pairwise_accuracy"]) for rival in _RIVALS))
        for name, of in rows
    ]
    return screen.table(("held-out prompts of", "pairs", *_RIVALS), cells)


_RIVALS = ("ranker", "longer", "constant", "chance")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
