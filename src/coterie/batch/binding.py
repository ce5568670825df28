"""What a batch in progress is bound to: another input, method or seed would make an output of two halves."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coterie.batch.asking import Recipe
from coterie.config import Config
from coterie.specs import describe
from coterie.types import Json

_NO_MATTER = frozenset({"max_concurrency", "timeout_s", "retries"})
"""Settings of members that say how they are asked, and not what: they may be changed on the way."""


@dataclass(frozen=True)
class InputMark:
    """By what an input is known again."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> InputMark:
        """Reads all of it."""
        stat = path.stat()
        with path.open("rb") as file:
            return cls(stat.st_size, stat.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())

    def fits(self, path: Path) -> bool:
        """True for the same content. It is read only where the file was written since."""
        stat = os.stat(path)
        if stat.st_size != self.size:
            return False
        return stat.st_mtime_ns == self.mtime_ns or InputMark.of(path).sha256 == self.sha256


def bound_to(config: Config, recipe: Recipe, *, any_model: bool) -> dict[str, str]:
    """Digests of every setting that an answer depends on, by its place: of the method and those it asks, or of all."""
    methods = config.methods if any_model else {recipe.method: config.methods[recipe.method]}
    asked = set(config.members) if any_model else {name for method in methods.values() for name in method.asks}
    described: dict[str, Json] = {
        "members": {name: _kept(describe("members", config.members[name])) for name in config.members if name in asked},
        "methods": {name: describe("methods", method) for name, method in methods.items()},
        "limits": asdict(config.limits),
        "batch": asdict(recipe),
    }
    return {place: hashlib.sha256(value.encode()).hexdigest()[:16] for place, value in _leaves(described, "")}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Sequence[str]:
    """The places of settings that are not what they were."""
    return [place for place in sorted({*before, *now}) if before.get(place) != now.get(place)]


def _kept(member: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in member.items() if name not in _NO_MATTER}


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{place}.{name}" if place else str(name))
    else:
        yield place, json.dumps(value, sort_keys=True, default=str)
