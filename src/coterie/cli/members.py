"""``coterie members``: who sits in the committee."""

from __future__ import annotations

from dataclasses import asdict

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption


def members(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the members of the committee, without asking any of them."""
    from coterie import registry
    from coterie.cli import sources

    made = sources.load(config)
    rows = [(registry.name_of("members", spec), spec.card) for spec in made.members.values()]
    if json:
        plain = [asdict(card) | {"engine": engine, "capabilities": sorted(card.capabilities)} for engine, card in rows]
        screen.print_json(plain)
        return
    cells = [
        (
            card.name,
            engine,
            card.model,
            card.ballot.value if card.ballot else "cannot review",
            f"{card.price.input_usd:g} / {card.price.output_usd:g}" if card.price else "unknown",
            ", ".join(sorted(card.capabilities)),
        )
        for engine, card in rows
    ]
    headings = ("name", "engine", "model", "ballot", "USD per million tokens in / out", "can")
    screen.show([screen.table(headings, cells)])
