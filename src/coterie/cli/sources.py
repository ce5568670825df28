"""Where a command's committee comes from: a file that was named, one in the working folder, or the embedded one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coterie.config import Config

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file. Default: $COTERIE_CONFIG, coterie.yaml here, or the embedded local committee.",
    ),
]
GemmaOption = Annotated[
    bool | None,
    typer.Option(
        "--accept-gemma-terms/--without-gemma",
        help="Whether you accept the terms of Gemma (https://ai.google.dev/gemma/terms), "
        "whose weights one member of the embedded committee needs. Asked once on a terminal.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def file_of(named: Path | None) -> Path | None:
    """The configuration file in force; ``None`` for the embedded committee."""
    from coterie.config import FILE_NAMES

    if named is not None:
        return named
    if from_environment := os.environ.get("COTERIE_CONFIG"):
        return Path(from_environment)
    return next((Path(name) for name in FILE_NAMES if Path(name).is_file()), None)


def load(named: Path | None) -> Config:
    """The configuration in force, its models fetched or not. Raises `ConfigError`."""
    from coterie import config as configuration
    from coterie import embedded

    file = file_of(named)
    return configuration.load(file if file is not None else embedded.source())


def ready(named: Path | None, gemma: bool | None, methods: tuple[str, ...] | None = None) -> Config:
    """The configuration in force, with the local models that `methods` (default: all) need on this machine.

    Says on stderr what it fetches. Raises `ConfigError`, `ModelFilesError`.
    """
    from coterie import config as configuration
    from coterie.cli import pulling

    file = file_of(named)
    if file is not None:
        made = configuration.load(file)
        pulling.pull_needed(made, methods, gemma)
        return made
    from coterie import embedded

    accepted = pulling.consent_to(pulling.GEMMA, gemma)
    if not accepted:
        typer.echo(
            "coterie: Gemma's terms were not accepted, so it stays out: two prompts of one model are left, "
            "which are not two models (--accept-gemma-terms takes it in)",
            err=True,
        )
    made = configuration.load(embedded.source(gemma=accepted))
    pulling.pull_needed(made, methods, accepted)
    return made
