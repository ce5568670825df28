"""What every ``coterie train`` command is told beside the method's settings: the data, the folder, what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coterie.training.corpus import Data

LicenceOption = Annotated[
    list[str] | None,
    typer.Option("--licence", help="Licence of the data, for the card: one for all files, or one for each in order."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of what is trained; it must be new or empty.")]
HeldOutOption = Annotated[
    float, typer.Option("--held-out", help="Share of the prompts that is measured and never learned.")
]
DevOption = Annotated[str | None, typer.Option("--dev", help="File to measure instead of held-out prompts.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the training that was stopped in --out.")]


def data_of(names: Sequence[str], licences: Sequence[str] | None, dev: str | None, held_out: float) -> Data:
    """The data of a training. Raises `ConfigError` for another number of licences than of files."""
    from coterie.training.corpus import Data, files

    return Data(files(names, licences or ()), dev, held_out)
