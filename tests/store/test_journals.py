"""Journals, in every store: one order for all, no gap, nothing lost, and nothing half added."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import store_worker
from stores import Where

from coterie.errors import ConfigError, StoreError
from coterie.protocols import Journals, Store
from coterie.store import Database, MemoryStore
from coterie.store.memory_journals import MemoryJournals
from coterie.store.plain import MAX_ENTRY_BYTES, MAX_VALUE_BYTES
from coterie.types import Entry, Json


async def everything(journals: Journals, space: str, page: int = 1000) -> list[Entry]:
    """All entries, read page by page."""
    found: list[Entry] = []
    while read := await journals.since(space, found[-1].number if found else 0, page):
        found += read
    return found


def numbered(values: Sequence[Json], first: int = 1) -> list[Entry]:
    return [Entry(number, value) for number, value in enumerate(values, first)]


def test_entries_are_numbered_from_one_and_read_in_order(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            journals = store.journals
            assert await journals.since("elo", 0) == []
            assert await journals.append("elo", ["a", "b"]) == 2
            assert await journals.append("elo", []) == 2
            assert await journals.append("else", []) == 0
            assert await journals.append("elo", ["c"]) == 3
            assert await journals.append("else", ["x"]) == 1
            assert await journals.since("elo", 0) == numbered("abc")
            assert await journals.since("elo", 1) == numbered("bc", 2)
            assert await journals.since("elo", 1, limit=1) == numbered("b", 2)
            assert await journals.since("elo", 0, limit=0) == []
            assert await journals.since("elo", 3) == []
            assert await everything(journals, "elo", page=2) == numbered("abc")
            assert await journals.since("else", 0) == numbered("x")

    asyncio.run(main())


def test_a_journal_outlives_its_process(url: str) -> None:
    async def main() -> None:
        async with Database.at(url).open() as store:
            await store.journals.append("elo", [1, 2])
        async with Database.at(url, keep_days=None).open() as store:  # which is about conversations alone
            assert await store.journals.append("elo", [3]) == 3
            assert await store.journals.since("elo", 0) == numbered([1, 2, 3])

    asyncio.run(main())


def test_a_discarded_journal_begins_anew(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.journals.append("elo", [1, 2])
            await store.journals.append("else", [1])
            assert await store.journals.discard("elo")
            assert not await store.journals.discard("elo")
            assert await where.has(journal=1, entry=1)
            assert await store.journals.since("elo", 0) == []
            assert await store.journals.append("elo", [3]) == 1
            assert await store.journals.since("elo", 0) == [Entry(1, 3)]

    asyncio.run(main())


VALUES: list[Json] = [None, 0, "", "\0 and \ud83d", "日本 🦙", {"a": {"b": [1e-300, 0.1 + 0.2, 2**70]}}, [[]]]


def test_every_json_value_comes_back_as_it_was(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.journals.append("ключ", VALUES)
            assert await store.journals.since("ключ", 0) == numbered(VALUES)

    asyncio.run(main())


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", "x" * MAX_ENTRY_BYTES], ids=lambda v: repr(v)[:8])
def test_where_one_entry_cannot_be_kept_none_is(where: Where, value: Json) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(StoreError, match="an entry of the journal 'elo' cannot be kept"):
                await store.journals.append("elo", ["good", value])
            assert await store.journals.since("elo", 0) == []

    asyncio.run(main())


def test_more_than_one_transaction_should_hold_is_refused() -> None:
    large = ["x" * (MAX_ENTRY_BYTES - 2)] * (MAX_VALUE_BYTES // MAX_ENTRY_BYTES + 1)
    with pytest.raises(StoreError, match="257 entries of the journal 'elo' cannot be kept at once"):
        asyncio.run(MemoryStore().journals.append("elo", large))


@pytest.mark.parametrize("name", ["", "a\0b", "\ud83d", "x" * 201], ids=["empty", "nul", "half", "long"])
def test_a_name_that_no_database_can_hold_is_refused(where: Where, name: str) -> None:
    async def main() -> None:
        async with where.open() as store:
            for use in (store.journals.append(name, [1]), store.journals.since(name, 0), store.journals.discard(name)):
                with pytest.raises(ConfigError, match="a journal's space"):
                    await use

    asyncio.run(main())


def test_tasks_of_one_process_lose_no_entry(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            last = await asyncio.gather(*(store.journals.append("elo", [n, n]) for n in range(40)))
            assert sorted(last) == list(range(2, 81, 2))
            kept = await everything(store.journals, "elo")
            assert [entry.number for entry in kept] == list(range(1, 81))
            assert all(a.value == b.value for a, b in zip(kept[::2], kept[1::2], strict=True))

    asyncio.run(main())


WORKERS, TIMES = 2, 30


def test_whoever_reads_while_workers_write_sees_one_order_without_a_gap(url: str) -> None:
    """A number is given and seen in the same order: a reader that goes on from the last one it saw misses none."""

    async def read(store: Store, workers: list[subprocess.Popen[str]]) -> list[Entry]:
        seen: list[Entry] = []
        while True:
            done = all(worker.poll() is not None for worker in workers)
            seen += await store.journals.since("elo", len(seen), 7)
            if done and len(seen) >= 2 * WORKERS * TIMES:
                return seen
            assert not done or await store.journals.since("elo", len(seen)), f"only {len(seen)} entries"

    async def main(workers: list[subprocess.Popen[str]]) -> None:
        async with Database.at(url).open() as store:
            seen = await read(store, workers)
            assert [entry.number for entry in seen] == list(range(1, 2 * WORKERS * TIMES + 1))
            assert seen == await everything(store.journals, "elo")
        for who in range(WORKERS):
            own = [entry.value for entry in seen if entry.value[0] == str(who)]
            pairs = [(n, part) for n in range(1, TIMES + 1) for part in ("first", "second")]
            assert own == [[str(who), *pair] for pair in pairs]

    asyncio.run(opened_once(url))
    workers = [store_worker.start("note", url, "elo", who, TIMES) for who in range(WORKERS)]
    try:
        asyncio.run(main(workers))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


async def opened_once(url: str) -> None:
    """Afterwards there are tables."""
    async with Database.at(url).open():
        pass


def test_cancelled_appends_happen_whole_or_not_at_all(url: str) -> None:
    async def hammer(store: Store, who: int) -> None:
        for number in range(1000):
            await store.journals.append("elo", [[who, number]] * 2)

    async def main() -> None:
        async with Database.at(url).open() as store:
            for wait_s in (0.0, 0.003, 0.02):
                tasks = [asyncio.create_task(hammer(store, who)) for who in range(3)]
                await asyncio.sleep(wait_s)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await store.journals.append("elo", [None, None])  # whatever was under way has ended before
            kept = await everything(store.journals, "elo")
            assert [entry.number for entry in kept] == list(range(1, len(kept) + 1))
            assert all(a.value == b.value for a, b in zip(kept[::2], kept[1::2], strict=True))

    asyncio.run(main())


def test_a_killed_process_has_lost_no_entry_and_left_no_gap(tmp_path: Path) -> None:
    url = str(tmp_path / "store.db")
    worker = store_worker.start("note", url, "elo", "w", 100_000)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    time.sleep(0.05)
    worker.kill()
    said = [int(line) for line in worker.communicate()[0].split()]

    async def main() -> None:
        async with Database.at(url).open() as store:
            kept = await everything(store.journals, "elo")
            assert len(kept) - len(said) * 2 in (0, 2)  # killed between the commit and saying so
            assert [entry.number for entry in kept] == list(range(1, len(kept) + 1))
            assert await store.journals.append("elo", ["on"]) == len(kept) + 1

    asyncio.run(main())


# ---- in memory ----


def test_in_memory_the_oldest_entries_go_and_the_others_keep_their_numbers() -> None:
    async def main() -> None:
        journals = MemoryJournals(most=5)
        assert await journals.append("quiet", ["q"]) == 1
        assert await journals.append("elo", ["a", "b"]) == 2
        assert await journals.append("elo", ["c", "d", "e"]) == 5
        assert await journals.since("quiet", 0) == []  # its one entry was the oldest of all
        assert await journals.append("quiet", ["again"]) == 1
        assert await journals.since("elo", 0) == numbered("bcde", 2)
        assert await journals.since("elo", 3) == numbered("de", 4)
        assert await journals.append("elo", list("0123456789")) == 15
        assert await journals.since("elo", 0) == numbered("56789", 11)
        assert await journals.discard("elo")
        assert (journals._entries, journals._numbers, journals._bytes) == ({}, {}, 0)

    asyncio.run(main())


def test_in_memory_the_oldest_entries_go_where_they_grow_too_large() -> None:
    async def main() -> None:
        journals = MemoryJournals(most_bytes=100)
        await journals.append("elo", ["x" * 40, "y" * 40, "z" * 40])
        assert await journals.since("elo", 0) == [Entry(2, "y" * 40), Entry(3, "z" * 40)]

    asyncio.run(main())


def test_what_the_journal_in_memory_hands_out_is_nobody_elses() -> None:
    async def main() -> None:
        journals = MemoryStore().journals
        value: list[Json] = [1]
        await journals.append("elo", [value])
        value.append(2)
        (await journals.since("elo", 0))[0].value.append(3)
        assert await journals.since("elo", 0) == [Entry(1, [1])]

    asyncio.run(main())
