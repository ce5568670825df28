"""The store in memory: what only it promises. The other tests of the store hold for it too."""

from __future__ import annotations

import asyncio
import time

from coterie.store.memory import MemoryConversations, MemoryRecords, MemoryStore
from coterie.types import Json, Message, Transcript, Turn

LONG = 5_000


def asked(number: int, of: int = 0) -> Transcript:
    """What a client sends on that turn of one of many conversations."""
    said = [m for n in range(1, number) for m in (Message("user", f"{of}: {n}"), Message("assistant", f"{of}! {n}"))]
    return Transcript((*said, Message("user", f"{of}: {number}")))


async def answer(store: MemoryConversations, number: int, of: int = 0, state: Json = None) -> Turn:
    transcript = asked(number, of)
    last = await store.last(transcript)
    reply = Message("assistant", f"{of}! {number}")
    turn = await store.remember(transcript, reply, f"run {of}-{number}", {"x": state}, last)
    assert turn is not None
    return turn


def test_what_is_handed_out_is_nobody_elses() -> None:
    async def main() -> None:
        store = MemoryStore()
        state: dict[str, Json] = {"standing": ["a", "b"]}
        turn = await store.conversations.remember(asked(1), Message("assistant", "0! 1"), "r", state)
        assert turn is not None
        state["standing"].append("c")
        turn.state["standing"].append("d")
        found = await store.conversations.last(asked(2))
        assert found is not None
        assert found.state == {"standing": ["a", "b"]}
        value: list[Json] = [1]
        made = await store.records.update("s", "k", lambda _: value)
        value.append(2)
        made.value.append(3)
        kept = await store.records.get("s", "k")
        assert kept is not None
        assert kept.value == [1]

    asyncio.run(main())


def test_the_oldest_turns_go_where_there_are_too_many_and_leave_nothing_behind() -> None:
    async def main() -> None:
        store = MemoryConversations(most_turns=4)
        for of in range(6):
            await answer(store, 1, of)
        assert [await store.last(asked(2, of)) is not None for of in range(6)] == [False, False, True, True, True, True]
        late = await store.last(asked(2, 2))
        await answer(store, 2, 5)
        assert await store.remember(asked(2, 2), Message("assistant", "late"), "late", {}, late) is None
        for of in range(6):
            found = await store.last(asked(2, of))
            assert found is None or await store.forget(found.conversation)
        assert (len(store._turns), len(store._places), store._state_bytes) == (0, 0, 0)

    asyncio.run(main())


def test_the_oldest_turns_go_where_their_states_grow_too_large() -> None:
    async def main() -> None:
        store = MemoryConversations(most_state_bytes=10_000)
        for of in range(5):
            await answer(store, 1, of, "x" * 4_000)
        assert [await store.last(asked(2, of)) is not None for of in range(5)] == [False, False, False, True, True]

    asyncio.run(main())


def test_records_nobody_writes_go_first() -> None:
    async def main() -> None:
        records = MemoryRecords(most=2)
        for key in ("a", "b", "a", "c"):
            await records.update("s", key, lambda value: (value or 0) + 1)
        assert await records.get("s", "b") is None
        kept = await records.get("s", "a")
        assert kept is not None
        assert (kept.value, kept.version) == (2, 2)

    asyncio.run(main())


def test_finding_a_turn_takes_no_longer_among_many() -> None:
    async def main() -> tuple[float, float]:
        store = MemoryConversations()
        await answer(store, 1)
        alone_s = await seconds(store)
        for of in range(1, LONG):
            await answer(store, 1, of)
        return alone_s, await seconds(store)

    async def seconds(store: MemoryConversations) -> float:
        """Of a hundred look-ups, the quickest of three times."""
        took = []
        for _ in range(3):
            began = time.perf_counter()
            for _ in range(100):
                assert await store.last(asked(2)) is not None
            took.append(time.perf_counter() - began)
        return min(took)

    alone_s, among_many_s = asyncio.run(main())
    assert among_many_s < 10 * alone_s  # a walk through all of them would take a thousand times as long
