"""The house: each specification opened once, shared, and closed with the others, last first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from coterie.house import House

LOG: list[str] = []


@dataclass(frozen=True)
class Engine:
    path: str
    fails: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        await asyncio.sleep(0.01)
        if self.fails:
            raise OSError(self.path)
        LOG.append(f"open {self.path}")
        yield self.path
        LOG.append(f"close {self.path}")


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    LOG.clear()


def test_equal_specifications_share_one_even_when_asked_at_once() -> None:
    async def main() -> list[str]:
        async with House() as house:
            return list(await asyncio.gather(*(house.once(Engine("a")) for _ in range(5)), house.once(Engine("b"))))

    assert asyncio.run(main()) == ["a"] * 5 + ["b"]
    assert sorted(LOG[:2]) == ["open a", "open b"]
    assert LOG[2:] == [f"close {LOG[1][-1]}", f"close {LOG[0][-1]}"]


def test_a_failure_is_not_kept() -> None:
    async def main() -> None:
        async with House() as house:
            for _ in range(2):
                with pytest.raises(OSError, match="x"):
                    await house.once(Engine("x", fails=True))
            assert await house.once(Engine("y")) == "y"

    asyncio.run(main())
    assert LOG == ["open y", "close y"]


def test_cancelling_one_who_waits_leaves_it_to_the_others() -> None:
    async def main() -> str:
        async with House() as house:
            first = asyncio.ensure_future(house.once(Engine("a")))
            second = asyncio.ensure_future(house.once(Engine("a")))
            await asyncio.sleep(0)
            first.cancel()
            return await second

    assert asyncio.run(main()) == "a"
    assert LOG == ["open a", "close a"]


def test_what_is_still_opening_is_closed_too() -> None:
    async def main() -> None:
        async with House() as house:
            task = asyncio.ensure_future(house.once(Engine("a")))
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(main())
    assert LOG == ["open a", "close a"]
