"""What may be written: JSON of a bounded size, and names that every database can hold."""

from __future__ import annotations

import json
from collections.abc import Sequence

from coterie.errors import ConfigError, StoreError
from coterie.types import Json, encodable

ROUTED = "routed"
"""The space of records that speak of one run each: they are kept as long as a conversation is, and no longer."""

MAX_NAME_CHARS = 200
"""Ids, scopes, spaces and keys."""

MAX_STATE_BYTES = 256 << 10
"""What a turn may leave for the next one, as JSON."""

MAX_VALUE_BYTES = 16 << 20
"""A record's value as JSON: a bandit's matrices fit, a data set does not."""

MAX_ENTRY_BYTES = 64 << 10
"""One entry of a journal as JSON: the vector of a text fits, its weights do not."""


def dumps(value: Json, what: str, max_bytes: int) -> str:
    """`value` as JSON in ASCII, which no database garbles. Raises `StoreError` for what is no JSON or too large."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} cannot be kept: it is not plain JSON ({error})") from error
    if len(text) > max_bytes:
        raise StoreError(f"{what} cannot be kept: it takes {len(text)} bytes, and {max_bytes} are allowed")
    return text


def lines(entries: Sequence[Json], space: str) -> list[str]:
    """The entries of a journal as JSON, one a line. Raises `StoreError` for what is no JSON or too large."""
    texts = [dumps(entry, f"an entry of the journal {space!r}", MAX_ENTRY_BYTES) for entry in entries]
    if (size := sum(map(len, texts))) > MAX_VALUE_BYTES:
        raise StoreError(
            f"{len(texts)} entries of the journal {space!r} cannot be kept at once: they take {size} bytes, "
            f"and {MAX_VALUE_BYTES} are allowed"
        )
    return texts


def checked(name: str, what: str, *, blank: bool = False) -> str:
    """`name`, which can be kept and compared. Raises `ConfigError`."""
    if len(name) > MAX_NAME_CHARS:
        raise ConfigError(f"{what} may have {MAX_NAME_CHARS} characters, not {len(name)}: {name[:40]!r}...")
    if "\0" in name or not encodable(name) or not (name or blank):
        raise ConfigError(f"{what} cannot be {name!r}")
    return name
