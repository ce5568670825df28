"""``coterie train``: make the checkpoints that judges and fusers open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coterie.cli import fields, screen, train_fuser, train_router, training_progress
from coterie.cli.sources import JsonOption
from coterie.cli.training_options import DevOption, HeldOutOption, LicenceOption, OutOption, ResumeOption, data_of
from coterie.training.settings import AnyTraining, PairRankerTraining, PointwiseRankerTraining

app = typer.Typer(help="Train rankers, fusers and routers on files of examples.", no_args_is_help=True)

DataOption = Annotated[
    list[str],
    typer.Option("--data", help="File of examples, or owner/repository/file.jsonl of the hub; may be given again."),
]


def _ranker(
    settings: AnyTraining,
    *,
    data: DataOption,
    out: OutOption,
    licence: LicenceOption = None,
    held_out: HeldOutOption = 0.15,
    dev: DevOption = None,
    resume: ResumeOption = False,
    json: JsonOption = False,
) -> None:
    """Train a ranker."""
    from coterie.training.ranking import Task, train

    task = Task(settings, data_of(data, licence, dev, held_out), out, resume)
    card = training_progress.followed(lambda watch: train(task, watch))
    if json:
        screen.print_json(card)
        return
    screen.show([_measurements(card["measurements"]), f"\nwritten to {out}"])


app.command(
    "pair-ranker",
    help="Train LLM-Blender's pair ranker: an encoder that reads two candidates side by side and says which is better.",
)(fields.command(PairRankerTraining, _ranker))
app.command(
    "pointwise-ranker",
    help="Train a ranker that reads one candidate at a time: a pointwise ranker, SimCLS or SummaReranker.",
)(fields.command(PointwiseRankerTraining, _ranker))
app.command("fuser")(train_fuser.fuser)
app.add_typer(train_router.app, name="router")


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
