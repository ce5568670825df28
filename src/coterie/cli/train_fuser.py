"""``coterie train fuser``: a model, or an adapter, that writes one answer out of several."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coterie.cli import fields, screen, training_progress
from coterie.cli.sources import JsonOption
from coterie.cli.training_options import DevOption, HeldOutOption, LicenceOption, OutOption, ResumeOption, data_of
from coterie.training.fusing_settings import FuserTraining

DataOption = Annotated[
    list[str],
    typer.Option(
        "--data", help="File of examples with references, or owner/repository/file.jsonl; may be given again."
    ),
]
RankerOption = Annotated[
    str,
    typer.Option(
        "--ranker",
        help="Who chooses the candidates that are shown: a judge's kind, a trained ranker's folder, "
        "{kind: ..., setting: ...}, scores (by --metric), or none (by lot).",
    ),
]
MetricOption = Annotated[
    str | None, typer.Option("--metric", help="The score in the data to choose by, with --ranker scores.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to compute; auto takes a GPU where there is one.")]


def _fuser(
    settings: FuserTraining,
    *,
    data: DataOption,
    out: OutOption,
    ranker: RankerOption = "none",
    metric: MetricOption = None,
    licence: LicenceOption = None,
    held_out: HeldOutOption = 0.15,
    dev: DevOption = None,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    json: JsonOption = False,
) -> None:
    """Train LLM-Blender's fuser: a model that reads the best candidates and writes one answer out of them."""
    from coterie.training.fusing import FuserTask, train

    task = FuserTask(settings, data_of(data, licence, dev, held_out), out, ranker, metric, resume, device)
    card = training_progress.followed(lambda watch: train(task, watch))
    if json:
        screen.print_json(card)
        return
    screen.show([_losses(card["measurements"]["held_out_loss"]), f"\nwritten to {out}"])


def _losses(found: Any) -> Any:
    """The held-out loss beside what a fuser has to beat."""
    row = (*(f"{found[name]:.4f}" for name in ("after", "before", "constant")), str(found["tokens"]))
    return screen.table(("held-out loss", "base before training", "constant", "tokens"), [row])


fuser = fields.command(FuserTraining, _fuser)
