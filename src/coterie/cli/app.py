"""The command ``coterie``: its commands, and what its exit status means.

0: answered. 1: no answer could be made, or something could not be fetched or read. 2: bad usage or
configuration. 130: interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from coterie._version import __version__
from coterie.cli import screen
from coterie.cli.commands import Commands
from coterie.errors import ConfigError, CoterieError

COMMANDS = {
    "ask": "coterie.cli.ask:ask",
    "batch": "coterie.cli.batch:batch",
    "chat": "coterie.cli.chat:chat",
    "feedback": "coterie.cli.feedback:feedback",
    "init": "coterie.cli.init:init",
    "members": "coterie.cli.members:members",
    "methods": "coterie.cli.methods:methods",
    "route": "coterie.cli.route:route",
    "serve": "coterie.cli.serve:serve",
    "calibrate": "coterie.cli.calibrate:app",
    "config": "coterie.cli.config:app",
    "eval": "coterie.cli.eval:app",
    "export": "coterie.cli.export:app",
    "keys": "coterie.cli.keys:app",
    "models": "coterie.cli.models:app",
    "trace": "coterie.cli.trace:app",
    "train": "coterie.cli.train:app",
}
"""Where each command stands: a function, or an application with commands of its own. Help names them in this order."""


class Group(TyperGroup):
    """The command with those of `COMMANDS`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": Commands(COMMANDS)})

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002
        return list(self.commands)


app = typer.Typer(
    name="coterie",
    cls=Group,
    help="A committee of language models that answers better, cheaper or faster than any one of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coterie {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """A committee of language models that answers better, cheaper or faster than any one of them."""


def main() -> None:
    """Run the command line; every error of ours is one line on stderr and an exit status."""
    try:
        app()
    except ConfigError as error:
        screen.complain(error)
        sys.exit(2)
    except CoterieError as error:
        screen.complain(error)
        sys.exit(1)
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # nowhere to print to
        screen.complain(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
