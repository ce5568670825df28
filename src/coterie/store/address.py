"""Where a database is: a path or a URL, read without loading a driver, and shown without its password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from coterie.errors import ConfigError

SQLITE = ("sqlite", "sqlite+aiosqlite")
POSTGRESQL = ("postgresql", "postgres", "postgresql+asyncpg")


@dataclass(frozen=True)
class Address:
    """A database that can be opened."""

    kind: Literal["sqlite", "postgresql"]
    target: str
    """An absolute path, or a URL with everything in it that a driver needs, the password included."""
    shown: str
    """For people: no user, no password, no settings."""

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def read(text: str) -> Address:
    """The address given as a path, ``sqlite:///path`` or ``postgresql://...``. Raises `ConfigError`, with no secret."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return _file(text)
    if scheme in SQLITE:
        return _sqlite(rest)
    if scheme in POSTGRESQL:
        return _postgresql(f"postgresql://{rest}")
    raise ConfigError(f"a store is no {scheme!r} database: give a path, sqlite:///path or postgresql://user@host/name")


def _file(name: str) -> Address:
    if not name or name == ":memory:" or "\0" in name:
        raise ConfigError(f"a store outlives its process, so it needs the path of a file, not {name!r}")
    path = str(Path(name).expanduser().absolute())
    return Address("sqlite", path, path)


def _sqlite(rest: str) -> Address:
    if not rest.startswith("/"):
        raise ConfigError(f"a SQLite URL has three slashes, or four before an absolute path, unlike 'sqlite://{rest}'")
    if "?" in rest:
        raise ConfigError(f"a SQLite URL takes no settings, unlike 'sqlite://{rest}'")
    return _file(rest[1:])


def _postgresql(url: str) -> Address:
    parts = _split(url)
    if parts is None or "@" in parts.path or "@" in parts.fragment:
        raise ConfigError(
            "the PostgreSQL URL cannot be read: it should be postgresql://user:password@host:port/name, "
            "with special characters of the password percent-encoded"
        )
    return Address("postgresql", url, f"postgresql://{parts.hostname or ''}{parts.path}")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # checked on access, and its error would quote a badly encoded password
    except ValueError:
        return None
    return parts
