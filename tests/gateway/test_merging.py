"""Several streams as one: in the order of events, and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from coterie.gateway.merging import merged


class Streams:
    """Streams of numbers, one every few milliseconds, that note when they are closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def of(self, name: str, every_s: float, count: int, fails_at: int = -1) -> AsyncGenerator[str]:
        try:
            for n in range(count):
                await asyncio.sleep(every_s)
                if n == fails_at:
                    raise ValueError(name)
                yield f"{name}{n}"
        finally:
            self.closed.append(name)


async def taken(streams: Sequence[AsyncGenerator[str]], most: int = 999) -> list[tuple[int, str]]:
    """The first items; then the reader leaves."""
    found: list[tuple[int, str]] = []
    async with aclosing(merged(streams)) as items:
        async for item in items:
            found.append(item)
            if len(found) == most:
                break
    return found


def test_items_come_as_they_are_made() -> None:
    streams = Streams()
    items = asyncio.run(taken([streams.of("a", 0.02, 3), streams.of("b", 0.0, 4), streams.of("c", 0.0, 0)]))
    assert items[:4] == [(1, f"b{n}") for n in range(4)]
    assert items[4:] == [(0, f"a{n}") for n in range(3)]
    assert sorted(streams.closed) == ["a", "b", "c"]


@pytest.mark.parametrize("names", ["a", "ab"])
def test_what_one_raises_closes_all(names: str) -> None:
    streams = Streams()
    made = [streams.of(name, 0.001, 99, fails_at=2 if name == "a" else -1) for name in names]
    with pytest.raises(ValueError, match="a"):
        asyncio.run(taken(made))
    assert sorted(streams.closed) == list(names)


@pytest.mark.parametrize("names", ["a", "abc"])
def test_who_leaves_early_closes_all(names: str) -> None:
    streams = Streams()
    assert len(asyncio.run(taken([streams.of(name, 0.001, 99) for name in names], most=1))) == 1
    assert sorted(streams.closed) == list(names)
