"""What keys have used: counted here at once, shared through the store, kept over a restart, begun anew in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.config import ApiKey
from coterie.errors import StoreError
from coterie.gateway.keeping.accounts import Account, Accounts, Used
from coterie.gateway.keys import hashed
from coterie.gateway.refusal import Refusal
from coterie.store import Database, MemoryStore
from coterie.store.memory import MemoryRecords
from coterie.trace import CallFailed, CallFinished, CallStarted, Event, RunStarted, Trace
from coterie.types import Card, Completion, Failure, FailureKind, Json, Limits, Price, Record, Request, Usage

KEY = ApiKey("tea", hashed("ck-1"))
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("key", "used", "said"),
    [
        (replace(KEY, max_usd=1.0), Used(usd=1.0), "used up its 1 USD"),
        (replace(KEY, max_tokens=100), Used(tokens=120), "100 tokens"),
        (replace(KEY, max_calls=3, per="day"), Used(calls=3), r"3 calls of this day \(UTC\)"),
    ],
)
def test_a_key_that_used_up_what_it_may_is_refused(key: ApiKey, used: Used, said: str) -> None:
    account = Account(key)
    account.enter()
    account.book(used)
    with pytest.raises(Refusal, match=said) as caught:
        account.enter()
    assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")


@pytest.mark.parametrize(("per", "days", "anew"), [("day", 1, True), ("month", 1, True), ("ever", 40, False)])
def test_a_period_begins_at_nothing(per: str, days: int, anew: bool) -> None:
    now = [NOON]
    account = Account(replace(KEY, max_usd=1.0, per=per), lambda: now[0])  # type: ignore[arg-type]
    account.book(Used(usd=5.0))
    now[0] += days * DAY_S
    if anew:
        account.enter()
        assert account.used == Used(requests=1)
    else:
        with pytest.raises(Refusal):
            account.enter()


CARDS = (Card("a", price=Price(1.0, 100.0)), Card("b"))
ASKED = Request.of("Which?" * 100)
"""600 characters: 201 tokens, a token being guessed for three bytes."""


def traced(*outcomes: Completion | Failure) -> Trace:
    """A run in which members were asked, and this came of it."""
    started = RunStarted(0.0, "run-1", "default", {}, ASKED, CARDS, Limits(), 0, "", "")
    calls: list[Event] = []
    for said in outcomes:
        calls.append(CallStarted(0.0, said.call, said.member, "generate"))
        calls.append(
            CallFailed(1.0, said.call, said) if isinstance(said, Failure) else CallFinished(1.0, said.call, said)
        )
    return Trace((started, *calls))


def cut(member: str, usage: Usage, written_chars: int = 0) -> Failure:
    kind = FailureKind.CANCELLED
    return Failure(member, "hung up", kind, "generate", usage, call=f"k{member}", written_chars=written_chars)


@pytest.mark.parametrize(
    ("outcome", "used"),
    [
        (Completion("a", "Paris", usage=Usage(1, 10, 5, 0.25), call="ka"), Used(0, 1, 15, 0.25)),
        (cut("a", Usage(1, None, None, None), 300), Used(0, 1, 301, (201 + 100 * 100) / 1e6)),
        (cut("b", Usage(1, None, None, None), 300), Used(0, 1, 301, 0.0)),
        (cut("a", Usage(1, 10, 5, 0.25), 300), Used(0, 1, 15, 0.25)),
        (cut("a", Usage(0, None, None, None)), Used()),
        (cut("a", Usage(1)), Used(calls=1)),
        (Completion("a", "Paris!", usage=Usage(1, None, None, None), call="ka"), Used(0, 1, 203, (201 + 200) / 1e6)),
        (Completion("a", "Paris!", usage=Usage(1, 10, 5, None), call="ka"), Used(0, 1, 15, (10 + 500) / 1e6)),
    ],
    ids=["reported", "cut", "no price", "cut and reported", "never sent", "refused", "silent", "no cost"],
)
def test_what_nobody_reports_counts_as_much_as_its_texts_make_probable(
    outcome: Completion | Failure, used: Used
) -> None:
    found = Used.by(traced(outcome))
    assert (found.requests, found.calls, found.tokens) == (0, used.calls, used.tokens)
    assert found.usd == pytest.approx(used.usd)


def test_a_call_that_never_ended_counts_as_its_prompt() -> None:
    found = Used.by(Trace((*traced().events, CallStarted(0.0, "k1", "a", "generate"))))
    assert (found.calls, found.tokens) == (1, 201)


def test_workers_know_of_each_other(tmp_path: Path) -> None:
    key = replace(KEY, max_usd=1.0, requests_per_minute=10)

    async def main() -> None:
        async with Database.at(str(tmp_path / "store.db")).open() as store:
            one, other = Accounts([key]), Accounts([key])
            await one.share(store.records)
            await other.share(store.records)
            for _ in range(6):
                one["tea"].enter()
            one["tea"].book(Used(calls=6, tokens=60, usd=0.7))
            other["tea"].enter()
            other["tea"].book(Used(calls=1, tokens=10, usd=0.4))
            await one.share(store.records)
            await other.share(store.records)
            assert replace(other["tea"].used, usd=0.0) == Used(7, 7, 70)
            assert other["tea"].used.usd == pytest.approx(1.1)
            with pytest.raises(Refusal, match="used up"):
                other["tea"].enter()
            assert int(other["tea"].headers["x-ratelimit-remaining-requests"]) == 3
            assert one["tea"].used.requests == 6  # until something happens there again
        async with Database.at(str(tmp_path / "store.db")).open() as store:
            again = Accounts([key])
            await again.share(store.records)
            with pytest.raises(Refusal, match="used up"):
                again["tea"].enter()
            assert again["tea"].headers["x-ratelimit-remaining-requests"] == "10"  # those were not of this minute

    asyncio.run(main())


def test_what_the_store_did_not_take_is_told_the_next_time() -> None:
    class Away(MemoryRecords):
        async def update(self, space: str, key: str, change: Callable[[Json], Json]) -> Record:
            raise StoreError(f"{space} {key} is away")

    async def main() -> None:
        accounts, store = Accounts([KEY]), MemoryStore()
        accounts["tea"].book(Used(usd=1.0))
        with pytest.raises(StoreError):
            await accounts.share(Away())
        accounts["tea"].book(Used(usd=2.0))
        await accounts.share(store.records)
        assert accounts["tea"].untold == Used()
        await accounts.share(store.records)
        fresh = Accounts([KEY])
        await fresh.share(store.records)
        assert fresh["tea"].used == accounts["tea"].used == Used(usd=3.0)

    asyncio.run(main())


def test_another_configuration_goes_on_with_what_was_used() -> None:
    first = Accounts([replace(KEY, requests_per_minute=2), replace(KEY, id="gone")])
    first["tea"].enter()
    first["tea"].book(Used(usd=3.0))
    same = Accounts([replace(KEY, requests_per_minute=2, max_usd=10.0)], first)
    assert same["tea"].headers["x-ratelimit-remaining-requests"] == "1"
    tighter = Accounts([replace(KEY, max_usd=2.0), replace(KEY, id="new")], same)
    with pytest.raises(Refusal, match="used up its 2 USD"):
        tighter["tea"].enter()
    tighter["new"].enter()


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.builds(Used, *[st.integers(0, 9)] * 3, st.integers(0, 9).map(float)))
        | st.integers(0, 2)
    )
)
def test_however_workers_take_turns_nothing_is_lost_or_counted_twice(steps: list[tuple[int, Used] | int]) -> None:
    async def main() -> None:
        store, workers, spent = MemoryStore(), [Accounts([KEY]) for _ in range(3)], Used()
        for step in steps:
            if isinstance(step, int):
                await workers[step].share(store.records)
                continue
            workers[step[0]]["tea"].book(step[1])
            spent += step[1]
        for worker in (*workers, *workers):
            await worker.share(store.records)
        kept = await store.records.get("gateway.used", "tea")
        assert Used.read(kept.value if kept else None) == spent
        assert all(worker["tea"].untold == Used() for worker in workers)
        fresh = Accounts([KEY])
        await fresh.share(store.records)
        assert fresh["tea"].used == spent

    asyncio.run(main())
