"""``coterie export``: trained parts in other formats, and what the store gathered, as files to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import export_gathered, screen
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from coterie.judges.pair_ranker.agreement import Agreement
    from coterie.judges.pair_ranker.encoding import Pair

app = typer.Typer(help="Write trained parts in other formats, and what the store gathered.", no_args_is_help=True)
app.command("feedback")(export_gathered.feedback)
app.command("runs")(export_gathered.runs)

MOST_PAIRS = 240


@app.callback()
def export() -> None:
    """Write trained parts in other formats, and what the store gathered."""


@app.command("pair-ranker")
def pair_ranker(
    checkpoint: Annotated[str, typer.Argument(help="A folder, coterie/NAME, or a hub name.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Keep the weights in eight bits: a quarter of the size.")
    ] = False,
    examples: Annotated[
        str | None,
        typer.Option(
            help=f"Compare on {MOST_PAIRS} ordered pairs of this file's candidates. Default: a few texts of our own."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a pair ranker as an ONNX folder, which runs without PyTorch, and say how far its logits lie from before."""
    from coterie.judges.pair_ranker import checkpoint as checkpoints
    from coterie.judges.pair_ranker import export as exporting

    exporting.check_new(out)
    found = checkpoints.find(checkpoint)
    pairs = list(islice(_pairs(examples), MOST_PAIRS))
    if not pairs:
        raise ConfigError(f"{examples!r} has no two candidates for one question to compare")
    files = {"float32": exporting.network(found)}
    if int8:
        files["int8"] = exporting.network(found, int8=True)
    written = files["int8" if int8 else "float32"]
    exporting.write(found, out, written)
    compared = exporting.compared(found, files, pairs)
    if json:
        agreement = {kept: asdict(agreed) for kept, agreed in compared.items()}
        screen.print_json({"folder": str(out), "bytes": len(written), "agreement": agreement})
        return
    typer.echo(f"{out}: {len(written) / 1e6:.1f} MB")
    _show(compared)


def _pairs(examples: str | None) -> Iterator[Pair]:
    from coterie.judges.pair_ranker.agreement import ordered_pairs
    from coterie.judges.pair_ranker.probes import probes

    if examples is None:
        yield from probes()
        return
    from coterie import examples as data

    for example in data.read(examples):
        yield from ordered_pairs(example.source, [candidate.text for candidate in example.candidates])


def _show(compared: Mapping[str, Agreement]) -> None:
    headings = ("weights", "pairs", "logits off by, at most", "typically", "they spread by", "same sign")
    rows = [
        (
            kept, str(agreed.pairs), f"{agreed.furthest:.2g}", f"{agreed.typical:.2g}", f"{agreed.spread:.2g}",
            f"{agreed.same_sign / agreed.pairs:.1%}",
        )
        for kept, agreed in compared.items()
    ]  # fmt: skip
    screen.show([screen.table(headings, rows)])
