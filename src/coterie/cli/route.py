"""``coterie route``: who would be asked, and why, without asking anybody."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption


def route(
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    config: ConfigOption = None,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that routes.")] = "default",
    json: JsonOption = False,
    seed: Annotated[int | None, typer.Option(help="Fixes what is drawn; drawn by default.")] = None,
) -> None:
    """Show what a method's router expects of its members for a question, and who would be asked; nobody is."""
    from coterie.cli import report, sources
    from coterie.committee import Committee

    words = screen.typed(sys.stdin.read) if question == "-" else screen.as_text(question)
    with Committee.from_config(sources.load(config)) as committee:
        prospects, choice = committee.route(words, method, seed=seed)
    if json:
        screen.print_json({"method": method, "prospects": asdict(prospects), "choice": asdict(choice)})
        return
    basis = f": {prospects.basis}" if prospects.basis else ""
    screen.show(
        [
            *report.section(f"prospects ({prospects.router}{screen.shown(basis)})", report.prospects(prospects)),
            *report.section("choice", screen.shown(choice.reason)),
        ]
    )
