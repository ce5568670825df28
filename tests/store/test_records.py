"""Records, in every store: no update is lost, waiting has an end, and a failed change leaves no trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import store_worker
from stores import Where

from coterie.errors import ConfigError, StoreError
from coterie.protocols import Store
from coterie.store import Database
from coterie.store.plain import MAX_VALUE_BYTES, ROUTED
from coterie.store.retention import DAY_S
from coterie.types import Json, Record, Secret


def plus(number: int) -> Callable[[Json], Json]:
    return lambda value: (value or 0) + number


def test_a_record_is_what_its_updates_made_of_it(url: str) -> None:
    async def main() -> None:
        async with Database.at(url).open() as store:
            assert await store.records.get("elo", "gpt") is None
            assert await store.records.update("elo", "gpt", lambda old: [old]) == Record("elo", "gpt", [None], 1)
            assert await store.records.update("elo", "gpt", lambda old: [*old, 0.1]) == Record(
                "elo", "gpt", [None, 0.1], 2
            )
        async with Database.at(url).open() as store:  # another process would see no other
            assert await store.records.get("elo", "gpt") == Record("elo", "gpt", [None, 0.1], 2)
            assert await store.records.get("elo", "llama") is None
            assert await store.records.get("bandit", "gpt") is None

    asyncio.run(main())


def test_a_discarded_record_begins_anew(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.records.update("elo", "gpt", plus(5))
            assert await store.records.discard("elo", "gpt")
            assert not await store.records.discard("elo", "gpt")
            assert await store.records.get("elo", "gpt") is None
            assert await store.records.update("elo", "gpt", plus(1)) == Record("elo", "gpt", 1, 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    "value",
    [None, 0, "", "\0 and \ud83d", "日本 🦙", {"a": {"b": [1e-300, 0.1 + 0.2, 2**70]}}, [[]], "x" * 100_000],
    ids=lambda value: repr(value)[:12],
)
def test_every_json_value_comes_back_as_it_was(where: Where, value: Json) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.records.update("a space", "ключ", lambda _: value)
            kept = await store.records.get("a space", "ключ")
            assert kept is not None
            assert kept.value == value

    asyncio.run(main())


def test_a_change_that_fails_leaves_the_record_as_it_was(where: Where) -> None:
    def fail(value: Json) -> Json:
        raise ZeroDivisionError(value)

    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(ZeroDivisionError):
                await store.records.update("elo", "new", fail)
            assert await store.records.get("elo", "new") is None
            await store.records.update("elo", "gpt", plus(5))
            with pytest.raises(ZeroDivisionError):
                await store.records.update("elo", "gpt", fail)
            assert await store.records.get("elo", "gpt") == Record("elo", "gpt", 5, 1)

    asyncio.run(main())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", "x" * MAX_VALUE_BYTES])
def test_what_cannot_be_kept_is_refused(where: Where, value: Json) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(StoreError, match="the record 'elo' 'gpt' cannot be kept"):
                await store.records.update("elo", "gpt", lambda _: value)
            assert await store.records.get("elo", "gpt") is None

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "a\0b", "\ud83d", "x" * 201], ids=["empty", "nul", "half", "long"])
def test_a_name_that_no_database_can_hold_is_refused(where: Where, name: str) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(ConfigError, match="a record's key"):
                await store.records.update("elo", name, plus(1))
            with pytest.raises(ConfigError, match="a record's space"):
                await store.records.get(name, "gpt")

    asyncio.run(main())


def test_tasks_of_one_process_lose_no_update(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            made = await asyncio.gather(*(store.records.update("count", "n", plus(1)) for _ in range(40)))
            assert sorted(record.value for record in made) == list(range(1, 41))
            assert await store.records.get("count", "n") == Record("count", "n", 40, 40)

    asyncio.run(main())


def test_workers_lose_no_update(url: str) -> None:
    async def main() -> Record | None:
        async with Database.at(url).open() as store:
            return await store.records.get("count", "n")

    workers = [store_worker.start("count", url, "n", 60) for _ in range(3)]
    for worker in workers:
        worker.communicate(timeout=120)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert asyncio.run(main()) == Record("count", "n", 180, 180)


def test_cancelled_updates_happen_whole_or_not_at_all(url: str) -> None:
    async def hammer(store: Store) -> None:
        for _ in range(1000):
            await store.records.update("count", "n", plus(1))

    async def main() -> None:
        async with Database.at(url).open() as store:
            for wait_s in (0.0, 0.001, 0.003, 0.01, 0.02, 0.05):
                tasks = [asyncio.create_task(hammer(store)) for _ in range(3)]
                await asyncio.sleep(wait_s)
                for task in tasks:
                    task.cancel()
                assert all(
                    isinstance(end, asyncio.CancelledError)
                    for end in await asyncio.gather(*tasks, return_exceptions=True)
                )
            kept = await store.records.update("count", "n", plus(0))
            assert kept.value == kept.version - 1  # every version but the last added one

    asyncio.run(main())


def test_waiting_for_another_writer_has_an_end_and_one_who_dies_frees_the_record(url: str) -> None:
    async def main() -> None:
        async with Database(Secret(url), wait_s=0.5).open() as store:
            await store.records.update("count", "n", plus(7))
            holder = store_worker.start("hold", url, "n")
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n"
                with pytest.raises(StoreError, match=r"did not answer in 0\.5 s|database is locked"):
                    await store.records.update("count", "n", plus(1))
                seen = await store.records.get("count", "n")  # reading waits for no writer
                assert seen == Record("count", "n", 7, 1)
            finally:
                holder.kill()
                holder.communicate()
            assert await store.records.update("count", "n", plus(1)) == Record("count", "n", 8, 2)

    asyncio.run(main())


def test_what_is_known_of_a_run_goes_with_the_days_to_keep(url: str) -> None:
    async def main() -> None:
        now = [1_000_000_000.0]
        database = Database(Secret(url), keep_days=2.0, clock=lambda: now[0])
        async with database.open() as store:
            await store.records.update(ROUTED, "old", plus(1))
            await store.records.update("elo", "gpt", plus(1))
            now[0] += 1.5 * DAY_S
            await store.records.update(ROUTED, "young", plus(2))
            now[0] += 1.0 * DAY_S
            await store.records.update(ROUTED, "new", plus(3))
            found = [await store.records.get(ROUTED, run) for run in ("old", "young", "new")]
            assert [record and record.value for record in found] == [None, 2, 3]
            assert await store.records.get("elo", "gpt") is not None

    asyncio.run(main())


def test_of_a_run_nothing_is_kept_where_that_is_off(url: str) -> None:
    async def main() -> None:
        async with Database.at(url, keep_days=None).open() as store:
            assert (await store.records.update(ROUTED, "run", plus(1))).value == 1
            assert await store.records.get(ROUTED, "run") is None

    asyncio.run(main())
