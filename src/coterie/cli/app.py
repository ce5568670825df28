"""The command ``coterie``: its commands, and what its exit status means.

0: answered. 1: no answer could be made, or something could not be fetched or read. 2: bad usage or
configuration. 130: interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coterie._version import __version__
from coterie.cli import ask, calibrate, chat, config, export, init, members, methods, models, screen, trace, train
from coterie.cli import eval as evaluation
from coterie.errors import ConfigError, CoterieError

app = typer.Typer(
    name="coterie",
    help="A committee of language models that answers better, cheaper or faster than any one of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("init")(init.init)
app.command("members")(members.members)
app.command("methods")(methods.methods)
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(config.app, name="config")
app.add_typer(evaluation.app, name="eval")
app.add_typer(export.app, name="export")
app.add_typer(models.app, name="models")
app.add_typer(trace.app, name="trace")
app.add_typer(train.app, name="train")


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
