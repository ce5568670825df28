"""Traces of runs, in every store: found by their owner alone, dropped when their time is over."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Where

from coterie.errors import ConfigError
from coterie.store.memory_runs import MemoryRuns
from coterie.types import KeptRun


def kept(id_: str, scope: str = "", made_at: float = 100.0, *lines: str) -> KeptRun:
    return KeptRun(id_, scope, made_at, lambda: lines or ("{}",), sum(map(len, lines or ("{}",))))


def test_a_run_is_found_by_its_owner_alone(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.runs.keep([kept("run-1", "tea", 100.0, '{"a": "one\u2028line"}', "{}"), kept("run-2", "")])
            found = await store.runs.find("run-1", "tea", since=100.0)
            assert found is not None
            assert [*found.lines()] == ['{"a": "one\u2028line"}', "{}"]
            assert await store.runs.find("run-1", "", since=0) is None
            assert await store.runs.find("run-2", "tea", since=0) is None
            assert await store.runs.find("run-3", "tea", since=0) is None

    asyncio.run(main())


def test_what_was_kept_first_stays(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.runs.keep([kept("run-1", "tea", 100.0, "first")])
            await store.runs.keep([kept("run-1", "bob", 200.0, "second"), kept("run-2", "tea", 200.0, "third")])
            found = [await store.runs.find(f"run-{n}", "tea", since=0) for n in (1, 2)]
            assert [[*run.lines()] for run in found if run] == [["first"], ["third"]]

    asyncio.run(main())


def test_old_ones_are_not_found_and_go(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.runs.keep([kept(f"run-{n}", "", float(n)) for n in range(250)])
            assert await store.runs.find("run-9", "", since=10.0) is None
            gone = 0
            while more := await store.runs.drop(before=240.0):
                gone += more
            assert gone == 240
            assert await store.runs.find("run-239", "", since=0) is None
            assert await store.runs.find("run-240", "", since=0) is not None

    asyncio.run(main())


def test_all_are_read_page_by_page(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.runs.keep([kept(f"run-{n}", f"key-{n % 2}") for n in (3, 1, 4, 0, 2)])
            pages = [await store.runs.after(last, limit=2) for last in ("", "run-1", "run-3", "run-4")]
            assert [[run.id for run in page] for page in pages] == [
                ["run-0", "run-1"],
                ["run-2", "run-3"],
                ["run-4"],
                [],
            ]

    asyncio.run(main())


def test_keeping_nothing_changes_nothing(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await store.runs.keep([])
            assert await store.runs.drop(before=1e12) == 0

    asyncio.run(main())


def test_an_id_that_cannot_be_kept_is_refused(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(ConfigError, match="a run's id"):
                await store.runs.keep([kept("\0")])

    asyncio.run(main())


@given(sizes=st.lists(st.integers(0, 40), max_size=30))
def test_memory_stays_within_its_bounds(sizes: list[int]) -> None:
    runs = MemoryRuns(most=5, most_chars=60)
    for n, size in enumerate(sizes):
        runs.add(KeptRun(f"run-{n}", "", float(n), tuple, size))
        assert len(runs._runs) <= 5
        assert runs._chars == sum(run.chars for run in runs._runs.values()) <= 60
    newest = f"run-{len(sizes) - 1}"
    assert not sizes or newest in runs._runs
