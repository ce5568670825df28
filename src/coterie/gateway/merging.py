"""Several streams as one, in the order in which things happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def merged(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """The items of all streams as they come, each with its stream's number.

    Raises what any of them raises. Once it has ended, or is closed, all of them are closed.
    """
    if len(streams) == 1:  # no task for each item
        async with aclosing(streams[0]) as items:
            async for item in items:
                yield 0, item
        return
    waiting = {asyncio.ensure_future(_next(stream)): n for n, stream in enumerate(streams)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                n = waiting.pop(task)
                for item in task.result():
                    yield n, item
                    waiting[asyncio.ensure_future(_next(streams[n]))] = n
    finally:
        await _end(waiting)
        for stream in streams:
            await stream.aclose()


async def _next(stream: AsyncGenerator[T]) -> list[T]:
    """The next item; nothing at the end."""
    try:
        return [await anext(stream)]
    except StopAsyncIteration:
        return []


async def _end(tasks: Iterable[asyncio.Task[list[T]]]) -> None:
    """All have ended; nobody is there to be told of what they raised."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
