"""Where a record comes from, as far as its reading depends on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """The file, and what the caller says that it is."""

    file: str
    """Its name without folders."""
    dataset: str | None = None
