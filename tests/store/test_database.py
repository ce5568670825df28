"""Opening a store: what it needs, what it leaves behind, and how it says that it cannot."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from coterie.errors import MissingExtra, StoreError
from coterie.house import House
from coterie.store import Database
from coterie.types import Json, Record


def opened(database: Database) -> None:
    async def main() -> None:
        async with database.open():
            pass

    asyncio.run(main())


def test_a_file_and_its_folder_are_made_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "my store%20#1.db"
    opened(Database.at(str(file)))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # closed, it is one file
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_no_database_is_said_so_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("This is no database. " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt' failed: file is not a database"):
        opened(Database.at(str(file)))
    assert file.read_text() == "This is no database. " * 100
    with pytest.raises(StoreError, match="cannot be opened: File exists"):
        opened(Database.at(str(file / "store.db")))
    with pytest.raises(StoreError, match="cannot be opened: Is a directory"):
        opened(Database.at(str(tmp_path)))


def test_a_server_that_cannot_be_reached_is_said_so_without_the_password() -> None:
    pytest.importorskip("asyncpg")
    with pytest.raises(StoreError, match=r"'postgresql://127\.0\.0\.1/store' failed") as caught:
        opened(Database.at("postgresql://me:pa55word@127.0.0.1:1/store"))
    assert "pa55word" not in str(caught.value)


def test_a_database_that_is_not_there_is_said_so(postgresql: str) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        opened(Database.at(postgresql.replace("/postgres?", "/nowhere?")))


def test_a_house_opens_it_once_for_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with House() as house:
            one, other = await asyncio.gather(*(house.once(Database.at(str(tmp_path / "a.db"))) for _ in range(2)))
            assert one is other
            assert await one.records.update("count", "n", lambda _: 1) == Record("count", "n", 1, 1)

    asyncio.run(main())


def test_closing_waits_for_what_somebody_began_and_left(tmp_path: Path) -> None:
    database = Database.at(str(tmp_path / "a.db"))

    async def leave() -> None:
        changing = asyncio.Event()

        def change(_value: Json) -> Json:
            changing.set()
            return "done"

        async with database.open() as store:
            task = asyncio.create_task(store.records.update("count", "n", change))
            await changing.wait()
            task.cancel()

    async def look() -> Record | None:
        async with database.open() as store:
            return await store.records.get("count", "n")

    asyncio.run(leave())
    assert asyncio.run(look()) == Record("count", "n", "done", 1)


def test_a_store_that_was_closed_takes_nothing_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with Database.at(str(tmp_path / "a.db")).open() as store:
            pass
        with pytest.raises(StoreError, match=r"a\.db' was closed"):
            await store.records.update("count", "n", lambda _: 1)
        with pytest.raises(StoreError, match=r"a\.db' was closed"):
            await store.records.get("count", "n")

    asyncio.run(main())


def test_without_a_url_it_is_a_file_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    opened(Database())
    assert [file.name for file in tmp_path.rglob("*.db")] == ["coterie.db"]


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("store.db", "sqlalchemy", "store"),
        ("store.db", "alembic", "store"),
        ("postgresql://localhost/store", "asyncpg", "postgres"),
        ("postgresql://localhost/store", "sqlalchemy", "postgres"),
        ("postgresql://localhost/store", "greenlet", "postgres"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=rf"'{module}', which is not installed: pip install 'coterie\[{extra}\]'"):
        opened(Database.at(url))


def test_saying_where_a_store_is_loads_no_driver() -> None:
    code = "import sys; from coterie.store import Database; Database.at('store.db'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"sqlalchemy", "alembic", "asyncpg"} & set(done.stdout.split())


def test_a_current_database_is_opened_without_what_upgrades_it(tmp_path: Path) -> None:
    opened(Database.at(str(tmp_path / "store.db")))
    code = (
        "import asyncio, sys; from coterie.store import Database\n"
        "async def main():\n"
        f"    async with Database.at({str(tmp_path / 'store.db')!r}).open(): pass\n"
        "asyncio.run(main()); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "sqlalchemy" in done.stdout.split()
    assert "alembic" not in done.stdout.split()
