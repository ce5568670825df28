"""What stands before an encoder: nobody waits for company, and no text is computed twice."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie.encoders.serving import Pace, Served, threaded, unit
from coterie.errors import RouterError

Rows = NDArray[np.float64]


class Counter:
    """Computes [length, 1] for each text, as soon as it may; remembers its batches."""

    def __init__(self, *, free: bool = True) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        if free:
            self.gate.set()

    async def __call__(self, texts: Sequence[str]) -> Rows:
        self.batches.append(list(texts))
        await self.gate.wait()
        return rows_of(texts)


def rows_of(texts: Sequence[str]) -> Rows:
    return np.array([[len(text), 1.0] for text in texts])


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_who_asks_in_one_turn_shares_a_batch_and_a_text_is_computed_once() -> None:
    async def go() -> None:
        counter = Counter()
        served = Served(counter, 2)
        rows = await asyncio.gather(*(served.encode([text]) for text in ("a", "bb", "a", "ccc")))
        assert counter.batches == [["a", "bb", "ccc"]]
        assert (np.concatenate(rows) == unit(rows_of(["a", "bb", "a", "ccc"]))).all()
        await served.encode(["a", "dddd", "bb"])
        assert counter.batches[1:] == [["dddd"]]
        await served.close()

    asyncio.run(go())


def test_what_comes_while_a_batch_is_computed_makes_up_the_next() -> None:
    async def go() -> None:
        counter = Counter(free=False)
        served = Served(counter, 2, Pace(texts=3))
        asked = [asyncio.create_task(served.encode(["a"]))]
        await turns()
        asked += [asyncio.create_task(served.encode([text, "a"])) for text in ("b", "c", "d", "e")]
        await turns()
        assert counter.batches == [["a"]]
        counter.gate.set()
        await asyncio.gather(*asked)
        assert counter.batches == [["a"], ["b", "c", "d"], ["e"]]
        await served.close()

    asyncio.run(go())


def test_an_endpoint_takes_several_batches_at_once() -> None:
    async def go() -> None:
        counter = Counter(free=False)
        served = Served(counter, 2, Pace(texts=2, batches=2))
        asked = []
        for text in "abcdefg":
            asked.append(asyncio.create_task(served.encode([text])))
            await turns()
        assert counter.batches == [["a"], ["b"]]
        counter.gate.set()
        await asyncio.gather(*asked)
        assert sorted(map(len, counter.batches)) == [1, 1, 1, 2, 2]
        await served.close()

    asyncio.run(go())


def test_a_text_that_comes_as_the_last_batch_ends_is_computed_too() -> None:
    async def go() -> None:
        counter = Counter()
        served = Served(counter, 2)

        async def asks(n: int) -> None:
            for k in range(20):
                await served.encode([f"{n} {k}"])

        async with asyncio.timeout(10):
            await asyncio.gather(*(asks(n) for n in range(5)))
        await served.close()
        assert sum(map(len, counter.batches)) == 100

    asyncio.run(go())


def test_cancelling_one_caller_leaves_the_others_what_they_wait_for() -> None:
    async def go() -> None:
        counter = Counter(free=False)
        served = Served(counter, 2)
        first, second = (asyncio.create_task(served.encode(["a", "b"])) for _ in range(2))
        await turns()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        counter.gate.set()
        assert (await second).shape == (2, 2)
        assert counter.batches == [["a", "b"]]
        await served.close()

    asyncio.run(go())


def test_the_cache_is_bounded_and_keeps_what_was_used_last() -> None:
    async def go() -> None:
        counter = Counter()
        served = Served(counter, 2, kept_texts=2)
        for text in ("a", "b", "a", "c", "a", "b"):
            await served.encode([text])
        assert counter.batches == [["a"], ["b"], ["c"], ["b"]]
        assert len(await served.encode(["a", "b", "c", "d", "e"])) == 5
        await served.close()

    asyncio.run(go())


def test_what_takes_no_time_is_computed_without_a_thread() -> None:
    async def go() -> None:
        served = Served(never, 2, inline=lambda texts: rows_of(texts) if len(texts[0]) < 3 else None)
        assert (await served.encode(["a", "b"])).shape == (2, 2)
        with pytest.raises(RouterError):
            await served.encode(["long"])
        await served.close()

    asyncio.run(go())


async def never(_texts: Sequence[str]) -> Rows:
    raise RouterError("it is away")


def test_heavy_work_leaves_the_event_loop_free() -> None:
    async def go() -> None:
        started, released = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def compute(texts: Sequence[str]) -> Rows:
            loop.call_soon_threadsafe(started.set)
            assert released.wait(10)
            return rows_of(texts)

        served = Served(threaded(compute), 2)
        asked = asyncio.create_task(served.encode(["a"]))
        await asyncio.wait_for(started.wait(), 10)
        assert not asked.done()
        released.set()
        assert (await asked).shape == (1, 2)
        await served.close()

    asyncio.run(go())


def broken(_texts: Sequence[str]) -> Any:
    raise ZeroDivisionError("the secret text")


@pytest.mark.parametrize(
    ("fetch", "said"),
    [
        (never, "it is away"),
        (threaded(broken), "failed with ZeroDivisionError$"),
        (threaded(lambda texts: np.full((len(texts), 2), np.nan)), "1 of 1 vectors hold what is no number"),
        (threaded(lambda texts: np.full((len(texts), 2), np.inf)), "no number"),
        (threaded(lambda texts: np.zeros((len(texts), 3))), r"1 vectors of 2 numbers were due, and \(1, 3\) came"),
    ],
)
def test_a_failure_is_told_to_all_who_wait_and_not_kept(
    fetch: Callable[[Sequence[str]], Awaitable[Rows]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        failing = True

        async def first_fails(texts: Sequence[str]) -> Rows:
            return await fetch(texts) if failing else rows_of(texts)

        served = Served(first_fails, 2)
        asked = [asyncio.create_task(served.encode(["a"])) for _ in range(2)]
        for task in asked:
            with pytest.raises(RouterError, match=said):
                await task
        failing = False
        assert (await served.encode(["a"])).shape == (1, 2)
        await served.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(go())
    assert ("defect of its own" in caplog.text) == ("ZeroDivisionError" in said)


def test_closing_tells_who_still_waits() -> None:
    async def go() -> None:
        served = Served(Counter(free=False), 2, Pace(texts=1))
        asked = [asyncio.create_task(served.encode([text])) for text in "ab"]
        await turns()
        await served.close()
        for task in asked:
            with pytest.raises(RouterError, match="was closed"):
                await task

    asyncio.run(go())


def test_vectors_are_brought_to_length_1_in_float64() -> None:
    rows = np.array([[3e30, 4e30], [3e-30, 4e-30], [0, 0]], dtype=np.float32)
    assert unit(rows) == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
