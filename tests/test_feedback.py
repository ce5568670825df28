"""Feedback: what is kept of a routed run, what a learning router hears, and what changes nothing."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import pytest

from coterie import Committee, ConfigError, Database, ScriptedMember, Secret
from coterie.feedback import JOURNAL
from coterie.methods.route import Route
from coterie.prospects import Feedback
from coterie.store.plain import ROUTED
from coterie.types import KeptRun
from told_router import Counting, Told

NAMES = ("ann", "bob")


def committee(store: Database | None = None) -> Committee:
    pool = [ScriptedMember(name, (f"{name} says",)) for name in NAMES]
    return Committee(pool, {"default": Route(Counting(), NAMES), "fixed": Route(Told({}), NAMES)}, store=store)


def test_a_rating_teaches_the_router_that_chose() -> None:
    with committee() as asked:
        first = asked.ask("Who?")
        assert first.candidate.author == "ann"
        assert asked.feedback(first.id, Feedback(0.1)).learned
        again = asked.ask("Who?")
        assert again.prospects is not None
        assert [prospect.quality for prospect in again.prospects.members] == [0.1, None]


def test_the_same_feedback_counts_once() -> None:
    with committee() as asked:
        run = asked.ask("Who?").id
        assert asked.feedback(run, Feedback(0.1)).learned
        heard = asked.feedback(run, Feedback(0.1))
        assert (heard.learned, heard.known, heard.why) == (False, True, "the same was said of this run before")
        assert asked.feedback(run, Feedback(0.9)).learned
        assert asked.ask("Who?").prospects.of("ann").quality == pytest.approx(0.5)  # type: ignore[union-attr]


def test_a_preference_that_the_router_does_not_learn_from() -> None:
    with committee() as asked:
        run = asked.ask("Who?").id
        heard = asked.feedback(run, Feedback(preferred="ann", over="bob"))
        assert (heard.learned, heard.why) == (False, "it says nothing that this router learns from")


@pytest.mark.parametrize("method", ["fixed", None])
def test_feedback_on_other_runs_is_kept(method: str | None) -> None:
    with committee() as asked:
        run = asked.ask("Who?", method).id if method else "run-of-yesterday"
        heard = asked.feedback(run, Feedback(1.0))
        assert (heard.learned, heard.known) == (False, False)
        assert "not routed by a router that learns" in heard.why


def test_a_run_whose_trace_is_kept_is_known() -> None:
    async def work() -> list[bool]:
        async with committee() as asked:
            store = await asked.astore()
            ids = [f"run-{secrets.token_hex(16)}" for _ in range(20)]
            await store.runs.keep([KeptRun(id_, "ann", time.time(), tuple) for id_ in ids[1::2]])
            return [(await asked.afeedback(id_, Feedback(1.0))).known for id_ in ids]

    assert asyncio.run(work()) == [False, True] * 10


def test_members_that_there_are_none_of_are_refused() -> None:
    with committee() as asked, pytest.raises(ConfigError, match="'eve' is not among the members"):
        asked.feedback(asked.ask("Who?").id, Feedback(preferred="eve", over="ann"))


def test_what_is_kept_outlives_the_process_and_holds_no_text(tmp_path: Path) -> None:
    store = Database(Secret(str(tmp_path / "c.db")))
    with committee(store) as asked:
        run = asked.ask("What is the secret word?").id
    with committee(store) as later:
        assert later.feedback(run, Feedback(0.3)).learned
        assert later.ask("Who?").prospects.of("ann").quality == pytest.approx(0.3)  # type: ignore[union-attr]

        async def kept() -> tuple[object, object]:
            opened = await later._own.store()
            record = await opened.records.get(ROUTED, run)
            return record.value if record else None, await opened.journals.since(JOURNAL, 0)

        value, journal = later._door.run(kept())
    assert "secret" not in repr(value) + repr(journal)
    assert value["routed"]["features"] == {"words": 5}  # type: ignore[index]


def test_on_an_event_loop() -> None:
    async def work() -> bool:
        async with committee() as asked:
            answer = await asked.aask("Who?")
            with pytest.raises(ConfigError, match="afeedback"):
                asked.feedback(answer.id, Feedback(0.5))
            return (await asked.afeedback(answer.id, Feedback(0.5))).learned

    assert asyncio.run(work())


def test_two_at_once_teach_once() -> None:
    async def work() -> list[bool]:
        async with committee() as asked:
            answer = await asked.aask("Who?")
            heard = await asyncio.gather(*(asked.afeedback(answer.id, Feedback(0.5)) for _ in range(5)))
            return sorted(each.learned for each in heard)

    assert asyncio.run(work()) == [False, False, False, False, True]
