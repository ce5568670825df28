"""``coterie serve``: the committee behind the interfaces that programs already speak."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption

if TYPE_CHECKING:
    from coterie.config import Config


class Log(StrEnum):
    """What is logged of requests."""

    OFF = "off"
    REQUESTS = "requests"
    CONTENTS = "contents"


def serve(
    config: ConfigOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
    drain_s: Annotated[
        int, typer.Option("--drain-s", min=0, help="Seconds that requests in flight may take once told to stop.")
    ] = 30,
    log: Annotated[
        Log | None, typer.Option(help="A line for each request on stderr, instead of what gateway.log says.")
    ] = None,
    notice_s: Annotated[
        int,
        typer.Option("--notice-s", min=0, help="Seconds it still serves whoever comes, once told to stop and unready."),
    ] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve the port together.")] = 1,
    accept_gemma_terms: GemmaOption = None,
) -> None:
    """Serve methods and members to any OpenAI client. SIGHUP reads the configuration again."""
    from coterie.cli import sources
    from coterie.gateway import serving

    file = sources.file_of(config)
    made = sources.ready(file, accept_gemma_terms)
    if log is not None:
        made = replace(made, gateway=replace(made.gateway, log=log.value))
    how = serving.Serving(host, port, workers, drain_s, notice_s)
    how.check(made)
    shown = f"[{host}]" if ":" in host else host
    screen.complain(f"serving {len(made.methods)} methods and {len(made.members)} members at http://{shown}:{port}/v1")

    def again() -> Config:  # nobody sits there to be asked for consent
        return made if file is None else sources.ready(file, bool(accept_gemma_terms))

    serving.serve(made, how, again)
