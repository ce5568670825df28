"""Calls side by side: who is waited for, what ends the wait, and what becomes of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from coterie.run.gathering import CUT, SETTLED, gathered, let_go
from coterie.types import Failure, FailureKind, Judgement, Limits

T = TypeVar("T")
UNLIMITED = Limits()


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; nothing of it may go on afterwards, nor anything have been raised where nobody hears it."""
    unheard: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        made = await work
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return made

    made = asyncio.run(watched())
    assert unheard == []
    return made


async def after(seconds: float, value: T) -> T:
    await asyncio.sleep(seconds)
    return value


async def never(heard: list[object] | None = None) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as cancelled:
        if heard is not None:
            heard.append(cancelled.args[0] if cancelled.args else None)
        raise
    return "never"


# ---- who is waited for ------------------------------------------------------------------------


def test_everybody_is_waited_for_and_stands_in_order() -> None:
    assert run(gathered([after(0.03, "a"), after(0.0, "b")], UNLIMITED)) == ["a", "b"]
    assert run(gathered([], UNLIMITED)) == []


@pytest.mark.parametrize("every", [True, False])
def test_a_quorum_and_the_grace_time_end_the_wait_unless_every_one_is_wanted(every: bool) -> None:
    calls = [after(0.0, "a"), after(0.15, "b")]
    assert run(gathered(calls, Limits(quorum=1, grace_s=0.02), every=every)) == ["a", "b" if every else None]


@pytest.mark.parametrize(
    "nothing",
    [None, Failure("m", "HTTP 500", FailureKind.HTTP), Judgement.abstain("m", "it cannot")],
    ids=["nothing", "failure", "abstention"],
)
def test_what_says_nothing_fills_no_quorum(nothing: object) -> None:
    calls: list[Any] = [after(0.0, nothing), after(0.05, "b")]
    assert run(gathered(calls, Limits(quorum=1, grace_s=0.0))) == [nothing, "b"]


def test_what_is_cut_hears_why() -> None:
    heard: list[object] = []

    async def nested() -> list[str | None]:
        return await gathered([never(heard)], UNLIMITED)

    run(gathered([after(0.0, ["a"]), nested()], Limits(quorum=1, grace_s=0.01)))
    run(gathered([after(0.0, ["a"]), nested()], UNLIMITED, until=lambda there: there[0] is not None))
    assert heard == [CUT, SETTLED]


# ---- until ------------------------------------------------------------------------------------


def test_until_is_shown_what_there_is_in_order_and_ends_the_wait() -> None:
    shown: list[list[str | None]] = []

    def two(there: Sequence[str | None]) -> bool:
        shown.append(list(there))
        return sum(entry is not None for entry in there) == 2

    assert run(gathered([after(0.02, "a"), never(), after(0.0, "c")], UNLIMITED, until=two)) == ["a", None, "c"]
    assert shown == [[None, None, "c"], ["a", None, "c"]]


def test_until_is_not_asked_when_nobody_is_left() -> None:
    def refuses(there: Sequence[str | None]) -> bool:
        raise AssertionError

    assert run(gathered([after(0.0, "a")], UNLIMITED, until=refuses)) == ["a"]


def test_what_until_raises_is_raised_and_nobody_waits_for_ever() -> None:
    heard: list[object] = []

    def broken(there: Sequence[str | None]) -> bool:
        raise KeyError("a defect of the part's")

    with pytest.raises(KeyError, match="a defect of the part's"):
        run(gathered([after(0.0, "a"), never(heard)], UNLIMITED, until=broken))
    assert heard == [CUT]


# ---- what breaks ------------------------------------------------------------------------------


async def breaks(name: str) -> str:
    raise KeyError(name)


def test_of_several_that_break_at_once_the_first_is_raised_and_the_others_are_heard() -> None:
    heard: list[object] = []
    with pytest.raises(KeyError, match="first"):
        run(
            gathered(
                [breaks("first"), breaks("second"), after(0.0, "c"), never(heard)], UNLIMITED, until=lambda _: False
            )
        )
    assert heard == [CUT]


def test_what_breaks_ends_the_grace_time() -> None:
    async def late() -> str:
        await asyncio.sleep(0.02)
        raise KeyError("late")

    began = time.perf_counter()
    with pytest.raises(KeyError, match="late"):
        run(gathered([after(0.0, "a"), late(), never()], Limits(quorum=1, grace_s=30.0)))
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("steps", range(1, 6))
def test_cancelling_the_wait_cancels_everybody_however_early(steps: int) -> None:
    heard: list[object] = []

    async def work() -> None:
        task = asyncio.ensure_future(gathered([never(heard), never(heard)], UNLIMITED))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())
    assert heard in ([], [None, None])


def test_who_swallows_its_cancellation_is_not_waited_for() -> None:
    async def deaf(over: asyncio.Event) -> str:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        return "deaf"

    async def work() -> float:
        over = asyncio.Event()
        began = time.perf_counter()
        task = asyncio.ensure_future(deaf(over))
        await asyncio.sleep(0)
        await let_go(task)
        took_s = time.perf_counter() - began
        over.set()
        await task
        return took_s

    assert run(work()) < 5


def test_letting_go_of_what_is_done_is_nothing() -> None:
    async def work() -> None:
        done = asyncio.ensure_future(after(0.0, "a"))
        broken = asyncio.ensure_future(breaks("b"))
        await asyncio.wait([done, broken])
        await let_go(done, broken)
        assert done.result() == "a"
        assert broken.exception() is not None
        assert not done.cancelled()
        assert not broken.cancelled()

    run(work())
