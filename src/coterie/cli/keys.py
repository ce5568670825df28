"""``coterie keys``: API keys of the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from coterie.cli.sources import JsonOption

app = typer.Typer(
    help="API keys of the gateway.", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback()
def keys() -> None:
    """API keys of the gateway."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its id in accounts and conversations; no secret.")],
    json: JsonOption = False,
) -> None:
    """Make a key: it is printed once, and its hash for the configuration."""
    from coterie.cli import screen
    from coterie.config import ApiKey
    from coterie.errors import ConfigError
    from coterie.gateway.keys import create as new
    from coterie.gateway.keys import hashed

    key = new()
    try:
        made = ApiKey(name, hashed(key))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if json:
        screen.print_json({"id": made.id, "key": key, "hash": made.hash})
        return
    typer.echo(f"key (shown this once): {key}")
    typer.echo("for the configuration:")
    typer.echo(f"gateway:\n  keys:\n    - id: {_quoted(made.id)}\n      hash: {made.hash}")


def _quoted(id_: str) -> str:
    import json

    return json.dumps(id_)
