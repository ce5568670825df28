"""``coterie serve``: the committee behind the interfaces that programs already speak."""

from __future__ import annotations

from typing import Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption


def serve(
    config: ConfigOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
    drain_s: Annotated[
        int, typer.Option("--drain-s", min=0, help="Seconds that requests in flight may take once told to stop.")
    ] = 30,
    accept_gemma_terms: GemmaOption = None,
) -> None:
    """Serve methods and members to any OpenAI client."""
    from coterie.cli import sources
    from coterie.gateway import serving

    made = sources.ready(config, accept_gemma_terms)
    serving.check_address(host, made)
    shown = f"[{host}]" if ":" in host else host
    screen.complain(f"serving {len(made.methods)} methods and {len(made.members)} members at http://{shown}:{port}/v1")
    serving.serve(made, host, port, drain_s=drain_s)
