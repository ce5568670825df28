"""``coterie feedback``: say how good an answer was, so that routers learn from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption

if TYPE_CHECKING:
    from coterie.feedback import Heard

RUN_ID = re.compile(r"run-[0-9a-f]{32}")


def feedback(
    run: Annotated[str, typer.Argument(help="The answer's id, which ask prints last.")],
    *,
    rating: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="How good the answer was, 0 to 1.")] = None,
    preferred: Annotated[
        str | None, typer.Option(help="The member whose answer was the better of two; with --over.")
    ] = None,
    over: Annotated[str | None, typer.Option(help="The member whose answer was the worse one.")] = None,
    tie: Annotated[bool, typer.Option("--tie", help="The two were equally good.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say how good an answer was; a router that chose for it and learns while it serves learns from it at once."""
    from coterie.cli import sources
    from coterie.committee import Committee
    from coterie.errors import ConfigError
    from coterie.prospects import Feedback

    try:
        said = Feedback(rating, preferred, over, tie)
    except ValueError as error:
        raise ConfigError(f"{error}: give --rating, or --preferred and --over") from None
    made = sources.load(config)
    if made.store is None:
        raise ConfigError(
            "the configuration names no store, so nothing is known of earlier runs: add a section `store`, "
            "ask with it, and give feedback on the answer"
        )
    if not RUN_ID.fullmatch(run):
        raise ConfigError(
            f"{run!r} is no answer's id, which is run- and 32 digits of 0 to 9 and a to f, as ask prints it"
        )
    with Committee.from_config(made) as committee:
        heard = committee.feedback(run, said)
    if json:
        screen.print_json({"run": run, "known": heard.known, "learned": heard.learned, "why": heard.why})
        return
    screen.show([_told(run, heard)])


def _told(run: str, heard: Heard) -> str:
    if heard.learned:
        return f"learned from {run}"
    if heard.known:
        return f"kept, and nothing learned: {heard.why}"
    return (
        f"kept, but the store knows no run {run!r}: check the id. A run that no learning router chose for leaves "
        "nothing there; training with its trace takes the feedback"
    )
