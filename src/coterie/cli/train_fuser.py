"""``coterie train fuser``: a model, or an adapter, that writes one answer out of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from coterie.cli import fields, screen, training_progress
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError
from coterie.training.fusing_settings import FuserTraining


def _fuser(
    settings: FuserTraining,
    *,
    data: Annotated[
        list[str],
        typer.Option(help="File of examples with references, or owner/repository/file.jsonl; may be given again."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the fuser; it must be new or empty.")],
    ranker: Annotated[
        str,
        typer.Option(
            help="Who chooses the candidates that are shown: a judge's kind, a trained ranker's folder, "
            "{kind: ..., setting: ...}, scores (by --metric), or none (by lot)."
        ),
    ] = "none",
    metric: Annotated[
        str | None, typer.Option(help="The score in the data to choose by, with --ranker scores.")
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Licence of the data, for the card: one for all files, or one for each in order."),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the prompts that is measured and never learned.")] = 0.15,
    dev: Annotated[str | None, typer.Option(help="File to measure instead of held-out prompts.")] = None,
    device: Annotated[str, typer.Option(help="Where to compute; auto takes a GPU where there is one.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was stopped in --out.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train LLM-Blender's fuser: a model that reads the best candidates and writes one answer out of them."""
    from coterie.training.corpus import UNSTATED, Data, DataFile
    from coterie.training.fusing import FuserTask, train

    stated = licence or [UNSTATED]
    stated = stated * len(data) if len(stated) == 1 else stated
    if len(stated) != len(data):
        raise ConfigError(
            f"--licence is given {len(stated)} times for {len(data)} files: give it once, or for each file"
        )
    files = Data(tuple(map(DataFile, data, stated)), dev, held_out)
    try:
        with training_progress.shown() as watch:
            card = train(FuserTask(settings, files, out, ranker, metric, resume, device), watch)
    except KeyboardInterrupt:
        screen.stop("interrupted; --resume goes on from the last checkpoint, if there is one", screen.INTERRUPTED)
    if card is None:
        raise typer.Exit(screen.INTERRUPTED)
    if json:
        screen.print_json(card)
        return
    screen.show([_losses(card["measurements"]["held_out_loss"]), f"\nwritten to {out}"])


def _losses(found: Any) -> Any:
    """The held-out loss beside what a fuser has to beat."""
    row = (*(f"{found[name]:.4f}" for name in ("after", "before", "constant")), str(found["tokens"]))
    return screen.table(("held-out loss", "base before training", "constant", "tokens"), [row])


fuser = fields.command(FuserTraining, _fuser)
