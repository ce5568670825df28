"""The commands by name, each loaded when it is wanted: asking a question waits for nothing that trains or evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

Command = Any
"""What Typer makes of a function or of an application; it keeps the class to itself."""


class Commands(Mapping[str, Command]):
    """Commands that stand at `places`: ``package.module:name`` of a function, or of an application with its own."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded[name] = _loaded(name, self._places[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _loaded(name: str, place: str) -> Command:
    module, _, attribute = place.partition(":")
    part = getattr(import_module(module), attribute)
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if isinstance(part, typer.Typer):
        alone.add_typer(part, name=name)
    else:
        alone.command(name)(part)
    return typer.main.get_group(alone).commands[name]
