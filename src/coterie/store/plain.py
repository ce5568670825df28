"""What may be written: JSON of a bounded size, and names that every database can hold."""

from __future__ import annotations

import json

from coterie.errors import ConfigError, StoreError
from coterie.types import Json, encodable

MAX_NAME_CHARS = 200
"""Ids, scopes, spaces and keys."""

MAX_STATE_BYTES = 256 << 10
"""What a turn may leave for the next one, as JSON."""

MAX_VALUE_BYTES = 16 << 20
"""A record's value as JSON: a bandit's matrices fit, a data set does not."""


def dumps(value: Json, what: str, max_bytes: int) -> str:
    """`value` as JSON in ASCII, which no database garbles. Raises `StoreError` for what is no JSON or too large."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} cannot be kept: it is not plain JSON ({error})") from error
    if len(text) > max_bytes:
        raise StoreError(f"{what} cannot be kept: it takes {len(text)} bytes, and {max_bytes} are allowed")
    return text


def checked(name: str, what: str, *, blank: bool = False) -> str:
    """`name`, which can be kept and compared. Raises `ConfigError`."""
    if len(name) > MAX_NAME_CHARS:
        raise ConfigError(f"{what} may have {MAX_NAME_CHARS} characters, not {len(name)}: {name[:40]!r}...")
    if "\0" in name or not encodable(name) or not (name or blank):
        raise ConfigError(f"{what} cannot be {name!r}")
    return name
