"""How a database becomes this version's: made, upgraded in place, refused, and all of that by many at once."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import store_worker
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from coterie.errors import StoreError
from coterie.store import Database, address
from coterie.store.schema import METADATA, REVISION, REVISION_TABLE
from coterie.store.transactions import Transactions
from coterie.store.upgrade import MIGRATIONS
from coterie.types import Record


def alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


async def bring_to(url: str, revision: str) -> None:
    """Afterwards the database is as an older version left it."""
    await within(url, lambda connection: command.upgrade(alembic(connection), revision))


async def within(url: str, work: Any) -> Any:
    """What `work` makes of a synchronous connection to the database, behind the store's back."""
    transactions = Transactions(address.read(url), 10.0)
    try:
        return await transactions.write(work)
    finally:
        await transactions.close()


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    def differences(connection: Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE, "compare_type": True})
        return compare_metadata(context, METADATA)

    async def main() -> Any:
        async with Database.at(url).open():
            return await within(url, differences)

    assert asyncio.run(main()) == []


def test_the_migrations_are_one_line_that_ends_at_this_version() -> None:
    script = ScriptDirectory.from_config(alembic())
    assert script.get_heads() == [REVISION]
    steps = list(script.walk_revisions())
    assert [step.revision for step in reversed(steps)] == [f"{number:04}" for number in range(1, len(steps) + 1)]
    assert all(not step.is_branch_point and not step.is_merge_point for step in steps)


def test_an_older_database_is_upgraded_in_place(url: str) -> None:
    kept = "INSERT INTO coterie_record VALUES ('elo', 'gpt', '[1.5]', 3, 0)"

    async def main() -> None:
        await bring_to(url, "0001")
        await within(url, lambda connection: connection.execute(text(kept)))
        async with Database.at(url).open() as store:
            assert await store.records.get("elo", "gpt") == Record("elo", "gpt", [1.5], 3)
            assert not await store.conversations.forget("trip")  # there is such a table now

    asyncio.run(main())


def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    newer = text(f"UPDATE {REVISION_TABLE} SET version_num = '9999'")
    tables = text(f"SELECT version_num FROM {REVISION_TABLE}")

    async def main() -> None:
        async with Database.at(url).open():
            pass
        await within(url, lambda connection: connection.execute(newer))
        with pytest.raises(StoreError, match=rf"newer version of Coterie: .*'9999'.* none after '{REVISION}'"):
            async with Database.at(url).open():
                pass
        assert await within(url, lambda connection: connection.execute(tables).scalar_one()) == "9999"

    asyncio.run(main())


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(url: str) -> None:
    in_the_way = text("CREATE TABLE coterie_turn (id INTEGER)")

    async def main() -> None:
        await bring_to(url, "0001")
        await within(url, lambda connection: connection.execute(in_the_way))
        with pytest.raises(StoreError, match=r"coterie_turn.* already exists"):
            async with Database.at(url).open():
                pass
        await within(url, lambda connection: connection.execute(text("DROP TABLE coterie_turn")))
        async with Database.at(url).open() as store:
            assert not await store.conversations.forget("trip")

    asyncio.run(main())


def test_processes_that_start_at_once_do_not_collide(url: str) -> None:
    workers = [store_worker.start("look", url) for _ in range(3)]
    said = [worker.communicate(timeout=120)[0] for worker in workers]
    assert said == ["ready\n"] * 3
    assert [worker.returncode for worker in workers] == [0] * 3


def test_event_loops_that_start_at_once_do_not_collide(tmp_path: Path) -> None:
    async def look(path: Path) -> int:
        async with Database.at(str(path)).open() as store:
            return (await store.records.update("count", "n", lambda value: (value or 0) + 1)).version

    with ThreadPoolExecutor(6) as threads:
        paths = [tmp_path / f"{number % 3}.db" for number in range(6)]
        made = list(threads.map(lambda path: asyncio.run(look(path)), paths))
    assert sorted(made) == [1, 1, 1, 2, 2, 2]


def test_the_migrations_stand_wherever_the_package_was_put(tmp_path: Path) -> None:
    """Alembic reads its settings with a template language that takes a percent sign for its own."""
    shutil.copytree(MIGRATIONS.parents[1], tmp_path / "100%" / "coterie", ignore=shutil.ignore_patterns("__pycache__"))
    worker = store_worker.start("look", tmp_path / "store.db", path=tmp_path / "100%")
    assert worker.communicate(timeout=60)[0] == "ready\n"
