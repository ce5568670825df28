"""A learner's state: a fold over a journal, equal for all who read it, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_bench import Bench, bench, notes

from coterie import Committee
from coterie.errors import ConfigError, StoreError
from coterie.members.scripted import ScriptedMember
from coterie.methods.route import Route
from coterie.prospects import Feedback
from coterie.protocols import Conversations, Records, Runs
from coterie.routers.forecast import Forecast, Queries
from coterie.routers.learning import PAGE, Fold, Learning, Unreadable, journal
from coterie.routers.packing import packed, unpacked
from coterie.routers.pickllm import PickLLM
from coterie.store import Database, MemoryStore
from coterie.store.memory_journals import MemoryJournals
from coterie.types import Entry, Json

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Heard:
    """A state that remembers what it was told, in order."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def apply(self, entry: Json) -> None:
        if not isinstance(entry, int):
            raise Unreadable(f"{entry!r} is no number")
        self.values.append(entry)

    def forecast(self, queries: Queries, members: Sequence[str]) -> Forecast:
        return Forecast(np.full((len(queries), len(members)), float(sum(self.values))))


@dataclass(frozen=True)
class Listener:
    """Where `Heard` begins."""

    journal: str = "heard"
    fresh_s: float = 0.0

    def begin(self) -> Heard:
        return Heard()


async def opened(at: Bench, listener: Listener = Listener(), patience_s: float = 1.0) -> Learning[Heard]:
    return await at.run().open(Fold(listener, patience_s, patience_s))


@dataclass
class Watched(MemoryJournals):
    """Journals that count how often they are read, and can be out of reach or slow."""

    reads: int = 0
    away: bool = False
    slow_s: float = 0.0

    async def since(self, space: str, number: int, limit: int = 1000) -> Sequence[Entry]:
        self.reads += 1
        await asyncio.sleep(self.slow_s)
        if self.away:
            raise StoreError("the store at 'x' did not answer")
        return await super().since(space, number, limit)


@dataclass(frozen=True)
class WatchedStore:
    """A store in memory with such journals."""

    journals: Watched = field(default_factory=Watched)
    memory: MemoryStore = field(default_factory=MemoryStore)

    @property
    def conversations(self) -> Conversations:
        return self.memory.conversations

    @property
    def records(self) -> Records:
        return self.memory.records

    @property
    def runs(self) -> Runs:
        return self.memory.runs


def test_what_was_appended_before_a_forecast_is_known_to_it() -> None:
    async def main() -> None:
        async with bench() as at:
            learning = await opened(at)
            for number in range(1, 5):
                await at.store.journals.append("heard", [number])
                assert (await learning.state(at.run())).values == list(range(1, number + 1))
            assert learning.number == 4

    asyncio.run(main())


def test_equal_learners_of_one_house_share_a_state() -> None:
    async def main() -> None:
        async with bench() as at:
            assert await opened(at) is await opened(at)
            assert await opened(at, Listener("else")) is not await opened(at)

    asyncio.run(main())


def test_a_long_journal_is_read_in_pages() -> None:
    async def main() -> None:
        store = WatchedStore()
        many = list(range(3 * PAGE + 7))
        await store.journals.append("heard", many)
        async with bench(store) as at:
            learning = await opened(at)
            assert (await learning.state(at.run())).values == many
            assert store.journals.reads == 4
            assert (await learning.state(at.run())).values == many
            assert store.journals.reads == 5

    asyncio.run(main())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=12))
def test_all_who_have_read_as_far_know_the_same_in_the_same_order(steps: list[tuple[int, int]]) -> None:
    """Three processes append and forecast in any order; each knows all that was there when it looked, in order."""

    async def main() -> None:
        store, written = MemoryStore(), 0
        async with bench(store) as first, bench(store) as second, bench(store) as third:
            processes = [first, second, third]
            for who, count in steps:
                await store.journals.append("heard", list(range(written, written + count)))
                written += count
                learning = await opened(processes[who])
                assert (await learning.state(processes[who].run())).values == list(range(written))

    asyncio.run(main())


def test_committees_on_one_database_know_what_each_of_them_heard(tmp_path: Path) -> None:
    members = [ScriptedMember("a", ("an answer",)), ScriptedMember("b", ("another",))]
    route = Route(PickLLM(rule="q_learning", initial=0.5, step=0.5), ("a", "b"))

    def committee() -> Committee:
        return Committee(members, {"default": route}, store=Database.at(str(tmp_path / "store.db")))

    async def main() -> None:
        async with committee() as one, committee() as other:
            first = await one.aask("who answers?")
            assert first.text == "an answer"  # all alike: the pool's order decides
            assert (await one.afeedback(first.id, Feedback(rating=0.0))).learned
            second = await other.aask("who answers?")
            assert second.text == "another"
            assert (await one.afeedback(second.id, Feedback(preferred="a", over="b"))).learned
            assert (await one.aask("who answers?")).text == "an answer"
        async with committee() as later:
            prospects, _ = await later.aroute("who answers?")
            assert [prospect.quality for prospect in prospects.members] == [0.625, 0.25]
            assert prospects.basis == "3 lessons heard"

    asyncio.run(main())


def test_forecasts_that_wait_together_share_one_reading() -> None:
    async def main() -> None:
        store = WatchedStore(Watched(slow_s=0.02))
        await store.journals.append("heard", [1])
        async with bench(store) as at:
            learning = await opened(at)
            first = asyncio.create_task(learning.state(at.run()))
            await asyncio.sleep(0.005)  # it reads already: what is appended now it may miss
            await store.journals.append("heard", [2])
            others = await asyncio.gather(*(learning.state(at.run()) for _ in range(50)))
            assert all(state.values == [1, 2] for state in (await first, *others))
            assert store.journals.reads == 2

    asyncio.run(main())


def test_what_is_fresh_enough_is_not_read_again() -> None:
    async def main() -> None:
        store = WatchedStore()
        async with bench(store) as at:
            learning = await opened(at, Listener(fresh_s=60.0))
            for number in range(3):
                await store.journals.append("heard", [number])
                assert (await learning.state(at.run())).values == [0]
            assert store.journals.reads == 1

    asyncio.run(main())


def test_entries_that_cannot_be_read_are_left_out_and_counted_once() -> None:
    async def main() -> None:
        async with bench() as at:
            learning = await opened(at)
            await at.store.journals.append("heard", [1, "new format", 2, None])
            run, later = at.run(), at.run()
            assert (await learning.state(run)).values == [1, 2]
            assert learning.skipped == 2
            assert "2 entries of the journal 'heard' cannot be read by this version" in notes(run)[0]
            await at.store.journals.append("heard", [3])
            assert (await learning.state(later)).values == [1, 2, 3]
            assert (learning.skipped, notes(later)) == (2, [])

    asyncio.run(main())


def test_without_its_journal_it_goes_on_with_what_it_knows_and_says_so() -> None:
    async def main() -> None:
        store = WatchedStore()
        async with bench(store) as at:
            learning = await opened(at, patience_s=0.05)
            await store.journals.append("heard", [1])
            await learning.state(at.run())
            store.journals.away = True
            await store.journals.append("heard", [2])
            run, next_one = at.run(), at.run()
            assert (await learning.state(run)).values == [1]
            assert notes(run) == [
                "the router goes on with what was learned from 1 entries, for its journal 'heard' is out of reach: "
                "the store at 'x' did not answer"
            ]
            assert (await learning.state(next_one)).values == [1]
            assert notes(next_one) == notes(run)
            assert store.journals.reads == 2  # the next one did not try again so soon
            store.journals.away = False
            await asyncio.sleep(0.06)
            recovered = at.run()
            assert (await learning.state(recovered)).values == [1, 2]
            assert notes(recovered) == []

    asyncio.run(main())


def test_a_run_without_a_store_knows_what_it_began_with() -> None:
    async def main() -> None:
        async with bench() as at:
            run = at.run()
            run.routing.store = None
            assert (await (await opened(at)).state(run)).values == []
            assert "what it began with" in notes(run)[0]

    asyncio.run(main())


def test_the_first_reading_may_take_longer() -> None:
    """The store may have to be opened for it, and nothing is known before."""

    async def main() -> None:
        store = WatchedStore(Watched(slow_s=0.1))
        await store.journals.append("heard", [1])
        async with bench(store) as at:
            learning = await at.run().open(Fold(Listener(), 0.02, 5.0))
            first, later = at.run(), at.run()
            assert (await learning.state(first)).values == [1]
            assert (await learning.state(later)).values == [1]
            assert notes(first) == []
            assert "was not read in 0.02 s" in notes(later)[0]

    asyncio.run(main())


def test_a_store_that_hangs_costs_no_more_than_patience() -> None:
    async def main() -> None:
        store = WatchedStore(Watched(slow_s=30.0))
        async with bench(store) as at:
            learning = await opened(at, patience_s=0.05)
            runs = [at.run() for _ in range(5)]
            async with asyncio.timeout(1.0):
                await asyncio.gather(*(learning.state(run) for run in runs))
                await learning.state(at.run())
            assert all("was not read in 0.05 s" in notes(run)[0] for run in runs)

    asyncio.run(main())


@pytest.mark.parametrize("again", [[], [7], [7, 8], [7, 8, 9]], ids=len)
def test_a_journal_that_was_discarded_is_forgotten(again: list[int]) -> None:
    """Also where it has as many entries again as were read before."""

    async def main() -> None:
        async with bench() as at:
            learning = await opened(at)
            await at.store.journals.append("heard", [1, 2])
            await learning.state(at.run())
            await at.store.journals.discard("heard")
            await at.store.journals.append("heard", again)
            assert (await learning.state(at.run())).values == again
            assert learning.number == len(again)

    asyncio.run(main())


def test_a_forecast_that_is_cancelled_leaves_no_entry_out_and_none_twice() -> None:
    async def main() -> None:
        store = WatchedStore(Watched(slow_s=0.001))
        many = list(range(10 * PAGE))
        await store.journals.append("heard", many)
        async with bench(store) as at:
            learning = await opened(at)
            for wait_s in (0.0, 0.002, 0.004):
                task = asyncio.create_task(learning.state(at.run()))
                await asyncio.sleep(wait_s)
                task.cancel()
                await asyncio.wait([task])
            assert (await learning.state(at.run())).values == many

    asyncio.run(main())


def test_a_start_that_cannot_be_had_is_an_error_and_is_tried_again() -> None:
    @dataclass(frozen=True)
    class Failing(Listener):
        def begin(self) -> Heard:
            raise ConfigError("no such folder")

    async def main() -> None:
        async with bench() as at:
            for _ in range(2):
                with pytest.raises(ConfigError, match="no such folder"):
                    await opened(at, Failing())

    asyncio.run(main())


def test_a_journal_s_name_tells_facts_apart() -> None:
    assert journal("eagle", "", 1, "minilm", 0.5) == journal("eagle", "", 1, "minilm", 0.5)
    others = [journal("eagle", "", 1, "minilm", 0.6), journal("eagle", "mine", 1), journal("knn", "", 1, "minilm", 0.5)]
    assert len({journal("eagle", "", 1, "minilm", 0.5), *others}) == 4


# ---- vectors ----


def unit(count: int, dimensions: int) -> NDArray[np.float32]:
    found = np.random.default_rng(dimensions).standard_normal((count, dimensions)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("dimensions", [64, 384, 1024])
def test_half_precision_moves_no_vector_further_than_it_says(dimensions: int) -> None:
    vectors = unit(200, dimensions)
    back = np.stack([unpacked(packed(vector), dimensions) for vector in vectors])
    assert np.linalg.norm(back - vectors, axis=1).max() < 5e-4
    assert np.abs(back @ back.T - vectors @ vectors.T).max() < 1e-3
    assert len(packed(vectors[0])) == -(-dimensions * 2 // 3) * 4


def test_a_vector_of_nothing_comes_back() -> None:
    assert not unpacked(packed(np.zeros(8, dtype=np.float32)), 8).any()


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e6])
def test_numbers_that_half_precision_cannot_hold_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="65504"):
        packed(np.array([0.0, number], dtype=np.float32))


@pytest.mark.parametrize(
    "text", [None, 3, "", "AAA", "A" * 7, "ö", "not base64!", packed(np.ones(3, dtype=np.float32)), "AHwAfAB8AHw="]
)
def test_what_is_no_vector_of_that_length_is_not_read(text: Json) -> None:
    with pytest.raises(Unreadable):
        unpacked(text, 4)
