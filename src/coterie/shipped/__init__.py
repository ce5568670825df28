"""Trained parts that come with this package: each in a folder of its own, with a card that says what it is worth.

A part is named ``coterie/NAME``, in the place of a folder or a hub name.
"""

from __future__ import annotations

from pathlib import Path

from coterie.errors import ConfigError

PREFIX = "coterie/"

HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """What there is, sorted."""
    return tuple(sorted(PREFIX + place.name for place in HERE.iterdir() if (place / "card.json").is_file()))


def folder(name: str) -> Path | None:
    """Where the part called ``coterie/NAME`` lies; ``None`` for a name of another kind.

    Raises `ConfigError` for a part that does not come with this package, naming those that do.
    """
    if not name.startswith(PREFIX):
        return None
    place = HERE / name.removeprefix(PREFIX)
    if name not in names():
        raise ConfigError(f"no part called {name!r} comes with this package; there are {', '.join(names()) or 'none'}")
    return place
