"""Where a database is: what can be read, what is shown, and what is refused without giving a password away."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.errors import ConfigError
from coterie.store import Database, address
from coterie.types import Secret

PASSWORD = "pa55word"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("store.db", Path.cwd() / "store.db"),
        ("~/store.db", Path.home() / "store.db"),
        ("/var/lib/my store.db", Path("/var/lib/my store.db")),
        ("sqlite:///store.db", Path.cwd() / "store.db"),
        ("sqlite:////var/lib/store.db", Path("/var/lib/store.db")),
        ("sqlite+aiosqlite:////a#b%20.db", Path("/a#b%20.db")),
    ],
)
def test_a_file_is_given_by_its_path_or_url(text: str, path: Path) -> None:
    assert address.read(text) == address.Address("sqlite", str(path), str(path))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_server_is_shown_without_what_is_secret(scheme: str) -> None:
    read = address.read(f"{scheme}://me:{PASSWORD}@db.example:5432/store?sslmode=require&password={PASSWORD}")
    assert read.kind == "postgresql"
    assert read.target.startswith(f"postgresql://me:{PASSWORD}@db.example:5432/store?")
    assert read.shown == "postgresql://db.example/store"
    assert PASSWORD not in repr(read)


def test_a_server_on_a_socket_is_an_address_too() -> None:
    assert address.read("postgresql:///store?host=/run/postgresql").shown == "postgresql:///store"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":memory:",
        "a\0b",
        "sqlite://",
        "sqlite://store.db",
        "sqlite:///:memory:",
        "sqlite:///store.db?mode=ro",
        "mysql://localhost/store",
        f"postgresql://me:{PASSWORD}/x@localhost/store",
        f"postgresql://me:{PASSWORD}#x@localhost/store",
        f"postgresql://me:{PASSWORD}@localhost:{PASSWORD}/store",
        f"postgresql://[{PASSWORD}/store",
    ],
)
def test_what_is_no_address_is_refused_without_a_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address.read(text)
    assert PASSWORD not in str(caught.value)
    if text:  # without a URL it is a file of the user's
        with pytest.raises(ConfigError):
            Database.at(text)


def test_a_database_is_a_value_that_prints_no_password() -> None:
    url = f"postgresql://me:{PASSWORD}@localhost/store"
    assert Database.at(url) == Database(Secret(url)) != Database.at(url, keep_days=None)
    assert hash(Database.at(url)) == hash(Database(Secret(url)))
    assert PASSWORD not in repr(Database.at(url))


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="keep_days must be greater than 0"):
        Database.at("store.db", keep_days=days)
    with pytest.raises(ValueError, match="wait_s must be greater than 0"):
        Database(Secret("store.db"), wait_s=days)
