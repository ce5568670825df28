"""``coterie config``: check a configuration, and print what one may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption
from coterie.errors import ConfigError

app = typer.Typer(help="Check a configuration, and print what one may hold.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The file; default as for ask.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check a configuration without asking or opening any member."""
    from coterie.cli import sources

    if file is not None and config is not None:
        raise ConfigError(f"one file is checked: {str(file)!r}, or with --config {str(config)!r}")
    file = file or config
    try:
        made = sources.load(file)
    except ConfigError as error:
        if json:
            screen.print_json({"ok": False, "error": str(error)})
        raise
    where = str(sources.file_of(file) or "the embedded configuration")
    if json:
        screen.print_json({"ok": True, "file": where, "members": list(made.members), "methods": list(made.methods)})
        return
    typer.echo(f"{where}: {len(made.members)} members, {len(made.methods)} methods, no fault found")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a configuration."""
    from coterie import schema as schemas

    screen.print_json(schemas.of_config())
