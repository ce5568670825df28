"""Streams whose client takes nothing any more, and requests whose client goes away while they are answered."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import Request

from coterie.gateway.event_stream import EventStream
from coterie.gateway.exchange import unless_gone
from coterie.gateway.refusal import Refusal
from coterie.gateway.watching import collector


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> dict[str, Any]:
    await asyncio.sleep(0.01)
    return {"type": "http.disconnect"}


def test_a_client_that_takes_nothing_any_more_ends_the_stream() -> None:
    closed = False

    async def events() -> AsyncGenerator[bytes]:
        nonlocal closed
        try:
            for n in range(100):
                yield b"data: %d\n\n" % n
        finally:
            closed = True

    async def stuck(message: Any) -> None:
        taken.append(message.get("body", b""))
        if len(taken) > 4:
            await asyncio.Event().wait()

    async def answered() -> None:
        async with asyncio.timeout(2):
            await EventStream(events(), {}, ping_s=0.02, write_s=0.05)({}, never, stuck)

    taken: list[bytes] = []
    asyncio.run(answered())
    assert len(taken) == 5, "no comment was written behind what was not taken"
    assert closed


def test_what_nobody_waits_for_is_cancelled() -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async def asked() -> int:
        with pytest.raises(Refusal) as caught:
            await unless_gone(work(), Request({"type": "http"}, leaves))
        assert caught.value.status == 499
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(asked()) == 0, "the request goes on, to be logged"
    assert cancelled


def test_what_is_there_first_counts() -> None:
    async def both() -> None:
        done = asyncio.get_running_loop().create_future()

        async def left() -> dict[str, Any]:
            await done
            return {"type": "http.disconnect"}

        async def answer() -> str:
            await done
            return "there"

        asyncio.get_running_loop().call_later(0.01, done.set_result, None)
        assert await unless_gone(answer(), Request({"type": "http"}, left)) == "there"
        for _ in range(5):
            await asyncio.sleep(0)  # no cancellation comes later

    asyncio.run(both())


def test_a_request_ended_from_outside_is_no_client_that_left() -> None:
    async def ended() -> None:
        task = asyncio.ensure_future(unless_gone(asyncio.sleep(10), Request({"type": "http"}, never)))
        await asyncio.sleep(0)
        task.cancel("for another reason")
        with pytest.raises(asyncio.CancelledError, match="for another reason"):
            await task

    asyncio.run(ended())


def test_the_collector_leaves_alone_what_is_there() -> None:
    before = gc.get_threshold()
    try:
        collector.settle()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == collector.THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
