"""What was kept stays kept when the process is killed at any moment, and when the server drops its connections."""

from __future__ import annotations

import asyncio
import time

import pytest
import store_worker

from coterie.store import Database
from coterie.types import Message, Record, Transcript, Turn


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.3])
def test_a_killed_process_has_lost_no_finished_turn(url: str, wait_s: float) -> None:
    worker = store_worker.start("talk", url, "w")
    assert worker.stdout is not None
    assert worker.stdout.readline() == "1\n"
    time.sleep(wait_s)
    worker.kill()
    said = [1, *map(int, worker.communicate()[0].split())]
    kept = asyncio.run(path(url))
    assert said == list(range(1, len(said) + 1))
    assert [turn.number for turn in kept] == list(range(1, len(kept) + 1))
    assert len(kept) - len(said) in (0, 1)  # killed between the commit and saying so
    assert all(turn.state == {"turn": turn.number} for turn in kept)
    assert [turn.parent for turn in kept] == [None, *(turn.id for turn in kept[:-1])]

    async def go_on() -> Turn | None:
        async with Database.at(url).open() as store:
            return await store.conversations.remember(
                Transcript(store_worker.asked(len(kept) + 1)), Message("assistant", "on"), "after", {}, kept[-1]
            )

    following = asyncio.run(go_on())
    assert following is not None
    assert following.number == len(kept) + 1


async def path(url: str) -> list[Turn]:
    """The turns of the worker's conversation, found as a client would find them."""
    kept: list[Turn] = []
    async with Database.at(url).open() as store:
        while turn := await store.conversations.last(Transcript(store_worker.asked(len(kept) + 2))):
            if turn.number <= len(kept):
                break
            kept.append(turn)
    return kept


def test_connections_that_the_server_dropped_are_made_again(postgresql_url: str) -> None:
    import asyncpg

    async def drop() -> None:
        connection = await asyncpg.connect(postgresql_url)
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert await connection.fetch(f"SELECT pg_terminate_backend(pid) {others}")
        while await connection.fetchval(f"SELECT count(*) {others}"):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        await connection.close()

    async def main() -> None:
        async with Database.at(postgresql_url).open() as store:
            await store.records.update("count", "n", lambda _: 1)
            await drop()
            assert await store.records.update("count", "n", lambda value: value + 1) == Record("count", "n", 2, 2)

    asyncio.run(main())
