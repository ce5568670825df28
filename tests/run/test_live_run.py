"""The run: side by side, quorum, deadlines, budgets, retries, cancellation, and what it records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from coterie.errors import MemberError, NoAnswer
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.run import AnswerPiece, AnswerReset, Channel, LiveRun, Piece, ResponseCache, Seat
from coterie.trace import CallFailed, CallFinished, CallRetried, CallStarted, Noted
from coterie.types import (
    Candidate,
    Card,
    Completion,
    Failure,
    FailureKind,
    Limits,
    Message,
    Price,
    Request,
    Result,
    Sampling,
    Standing,
)

QUESTION = Request.of("What is the capital of France?")
FAST = Limits(deadline_s=5, grace_s=0.05)


def seats(*members: ScriptedMember) -> dict[str, Seat]:
    return {
        member.name: Seat(
            member.card,
            ScriptedModel(member),
            timeout_s=member.timeout_s,
            retries=member.retries,
            slots=asyncio.Semaphore(member.max_concurrency) if member.max_concurrency else None,
        )
        for member in members
    }


def failures(run: LiveRun) -> dict[str, FailureKind]:
    return {failure.member: failure.kind for failure in run.ledger.failures}


def model(pool: Mapping[str, Seat], name: str) -> ScriptedModel:
    found = pool[name].model
    assert isinstance(found, ScriptedModel)
    return found


# ---- side by side -----------------------------------------------------------------------------


def test_members_write_side_by_side_and_candidates_keep_the_pools_order() -> None:
    async def main() -> tuple[list[Candidate], float]:
        pool = seats(*(ScriptedMember(f"m{n}", (Reply(f"text {n}", latency_s=0.2 - n / 50),)) for n in range(5)))
        began = time.perf_counter()
        found = await LiveRun(QUESTION, pool, FAST).generate(list(pool), QUESTION)
        return found, time.perf_counter() - began

    found, took_s = asyncio.run(main())
    assert [c.author for c in found] == ["m0", "m1", "m2", "m3", "m4"]
    assert [c.id for c in found] == ["c1", "c2", "c3", "c4", "c5"]
    assert took_s < 0.2 + 0.15  # one after another would be 0.8 s


def test_a_failure_is_a_value_and_touches_no_sibling() -> None:
    async def main() -> tuple[list[Candidate], LiveRun]:
        pool = seats(
            ScriptedMember("good", (Reply("Paris", latency_s=0.05),)),
            ScriptedMember("bad", (Reply(fail=FailureKind.HTTP, error="HTTP 500: oops"),)),
            ScriptedMember("mute", ("  ",)),
        )
        run = LiveRun(QUESTION, pool, FAST)
        return await run.generate(list(pool), QUESTION), run

    found, run = asyncio.run(main())
    assert [c.author for c in found] == ["good"]
    assert failures(run) == {"bad": FailureKind.HTTP, "mute": FailureKind.EMPTY}
    assert run.ledger.partial is False


def test_a_members_own_defect_is_a_failure_too(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: Request, number: int) -> str:
        raise ZeroDivisionError("a defect")

    async def main() -> Completion | Failure:
        pool = seats(ScriptedMember("broken", script=broken))
        return await LiveRun(QUESTION, pool, FAST).ask("broken", QUESTION)

    outcome = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.INTERNAL
    assert "ZeroDivisionError" in outcome.error
    assert "broken" in caplog.text


def test_with_no_candidate_there_is_no_answer_and_everybody_is_named() -> None:
    async def main() -> NoAnswer:
        pool = seats(
            ScriptedMember("x", (Reply(fail=FailureKind.CONNECTION, error="refused"),)), ScriptedMember("y", ("",))
        )
        with pytest.raises(NoAnswer) as caught:
            await LiveRun(QUESTION, pool, FAST).generate(list(pool), QUESTION)
        return caught.value

    error = asyncio.run(main())
    assert {failure.member for failure in error.failures} == {"x", "y"}
    assert "refused" in str(error)


def test_no_members_is_no_answer() -> None:
    async def main() -> None:
        with pytest.raises(NoAnswer, match="no members"):
            await LiveRun(QUESTION, {}, FAST).generate([], QUESTION)

    asyncio.run(main())


# ---- quorum and deadline ----------------------------------------------------------------------


def test_the_quorum_goes_on_after_the_grace_time_and_cuts_the_rest() -> None:
    async def main() -> tuple[list[Candidate], LiveRun, float, int]:
        pool = seats(
            ScriptedMember("a", (Reply("A", latency_s=0.02),)),
            ScriptedMember("b", (Reply("B", latency_s=0.04),)),
            ScriptedMember("late", (Reply("C", latency_s=0.08),)),
            ScriptedMember("hangs", (Reply(hang=True),)),
        )
        run = LiveRun(QUESTION, pool, Limits(deadline_s=10, quorum=2, grace_s=0.15))
        began = time.perf_counter()
        found = await run.generate(list(pool), QUESTION)
        took_s = time.perf_counter() - began
        return found, run, took_s, model(pool, "hangs").active

    found, run, took_s, active = asyncio.run(main())
    assert [c.author for c in found] == ["a", "b", "late"]  # who comes within the grace time counts
    assert failures(run) == {"hangs": FailureKind.CUT}
    assert 0.15 < took_s < 0.6
    assert run.ledger.partial is False
    assert active == 0


def test_the_grace_time_ends_early_when_everybody_has_answered() -> None:
    async def main() -> float:
        pool = seats(*(ScriptedMember(f"m{n}", ("text",)) for n in range(3)))
        began = time.perf_counter()
        await LiveRun(QUESTION, pool, Limits(quorum=1, grace_s=30)).generate(list(pool), QUESTION)
        return time.perf_counter() - began

    assert asyncio.run(main()) < 5


def test_failures_do_not_count_towards_the_quorum() -> None:
    async def main() -> tuple[list[Candidate], LiveRun]:
        pool = seats(
            ScriptedMember("dead", (Reply(fail=FailureKind.HTTP),)),
            ScriptedMember("quick", ("A",)),
            ScriptedMember("slow", (Reply("B", latency_s=0.3),)),
        )
        run = LiveRun(QUESTION, pool, Limits(deadline_s=5, quorum=2, grace_s=0))
        return await run.generate(list(pool), QUESTION), run

    found, run = asyncio.run(main())
    assert [c.author for c in found] == ["quick", "slow"]
    assert run.ledger.partial is False


def test_below_the_quorum_at_the_deadline_it_answers_from_what_exists() -> None:
    async def main() -> tuple[list[Candidate], LiveRun, float]:
        pool = seats(ScriptedMember("quick", ("A",)), ScriptedMember("hangs", (Reply(hang=True),)))
        run = LiveRun(QUESTION, pool, Limits(deadline_s=0.2, quorum=2))
        began = time.perf_counter()
        return await run.generate(list(pool), QUESTION), run, time.perf_counter() - began

    found, run, took_s = asyncio.run(main())
    assert [c.author for c in found] == ["quick"]
    assert failures(run) == {"hangs": FailureKind.DEADLINE}
    assert run.ledger.partial is True
    assert took_s < 1


def test_a_quorum_larger_than_the_committee_asks_for_everybody() -> None:
    async def main() -> LiveRun:
        pool = seats(ScriptedMember("one", ("A",)))
        run = LiveRun(QUESTION, pool, Limits(quorum=5))
        await run.generate(list(pool), QUESTION)
        return run

    assert asyncio.run(main()).ledger.partial is False


def test_a_hanging_member_costs_its_timeout_once() -> None:
    async def main() -> tuple[LiveRun, float, int]:
        pool = seats(ScriptedMember("good", ("A",)), ScriptedMember("hangs", (Reply(hang=True),), timeout_s=0.2))
        run = LiveRun(QUESTION, pool, Limits(deadline_s=30))
        began = time.perf_counter()
        await run.generate(list(pool), QUESTION)
        again = await run.ask("hangs", QUESTION)
        assert isinstance(again, Failure)
        assert again.kind is FailureKind.EXCLUDED
        return run, time.perf_counter() - began, len(model(pool, "hangs").requests)

    run, took_s, asked = asyncio.run(main())
    assert failures(run) == {"hangs": FailureKind.TIMEOUT}
    assert 0.2 <= took_s < 1
    assert asked == 1


def test_after_the_deadline_nothing_is_sent() -> None:
    async def main() -> tuple[Completion | Failure, int]:
        pool = seats(ScriptedMember("a", ("A",)))
        run = LiveRun(QUESTION, pool, Limits(deadline_s=0.01))
        await asyncio.sleep(0.02)
        assert run.expired
        return await run.ask("a", QUESTION), len(model(pool, "a").requests)

    outcome, asked = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.DEADLINE
    assert asked == 0


# ---- retries, slots, budget -------------------------------------------------------------------


def test_a_retryable_failure_is_tried_again_after_the_time_it_asked_for() -> None:
    busy = Reply(fail=FailureKind.HTTP, error="HTTP 429", retry_after_s=0.1)

    async def main() -> tuple[Completion | Failure, LiveRun, float]:
        pool = seats(ScriptedMember("busy", (busy, busy, Reply("fine")), price=Price(1, 1)))
        run = LiveRun(QUESTION, pool, FAST)
        began = time.perf_counter()
        return await run.ask("busy", QUESTION), run, time.perf_counter() - began

    outcome, run, took_s = asyncio.run(main())
    assert isinstance(outcome, Completion)
    assert outcome.text == "fine"
    assert outcome.usage.calls == 3
    assert run.ledger.usage.calls == 3
    assert [e.attempt for e in run.ledger.trace.of(CallRetried)] == [1, 2]
    assert 0.2 <= took_s < 1


def test_no_retry_that_would_come_too_late() -> None:
    busy = Reply(fail=FailureKind.HTTP, error="HTTP 429", retry_after_s=60)

    async def main() -> tuple[Completion | Failure, float]:
        pool = seats(ScriptedMember("busy", (busy,)))
        began = time.perf_counter()
        outcome = await LiveRun(QUESTION, pool, Limits(deadline_s=5)).ask("busy", QUESTION)
        return outcome, time.perf_counter() - began

    outcome, took_s = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert "too late" in outcome.error
    assert took_s < 1


def test_what_was_shown_is_not_tried_again() -> None:
    broken = Reply("half an ans", fail=FailureKind.CONNECTION, retry_after_s=0.0, pieces=3)

    async def main() -> tuple[Completion | Failure, int]:
        pool = seats(ScriptedMember("m", (broken, Reply("fine"))))
        outcome = await LiveRun(QUESTION, pool, FAST, channel=Channel()).ask("m", QUESTION)
        return outcome, len(model(pool, "m").requests)

    outcome, asked = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert asked == 1


def test_a_member_is_asked_no_more_often_at_once_than_it_allows() -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        pool = seats(ScriptedMember("narrow", (Reply("A", latency_s=0.03),), max_concurrency=2))
        run = LiveRun(QUESTION, pool, FAST)

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, model(pool, "narrow").active)
                await asyncio.sleep(0.005)

        watching = asyncio.ensure_future(watch())
        await run.gather([run.ask("narrow", QUESTION) for _ in range(6)])
        watching.cancel()
        calls = run.ledger.trace.calls.values()
        assert max(call.start_s - call.asked_s for call in calls) > 0.05  # the last ones waited for a slot
        assert all(call.duration_s < 0.09 for call in calls)  # which is no part of the call

    asyncio.run(main())
    assert most == 2


def test_the_budget_of_calls_is_kept_and_the_answer_partial() -> None:
    async def main() -> LiveRun:
        pool = seats(*(ScriptedMember(f"m{n}", ("A",)) for n in range(4)))
        run = LiveRun(QUESTION, pool, Limits(max_calls=3))
        found = await run.generate(list(pool), QUESTION)
        assert len(found) == 3
        return run

    run = asyncio.run(main())
    assert run.ledger.usage.calls == 3
    assert failures(run) == {"m3": FailureKind.BUDGET}
    assert run.ledger.partial is True


def test_retries_count_as_calls_of_the_budget() -> None:
    busy = Reply(fail=FailureKind.HTTP, error="HTTP 429", retry_after_s=0.0)

    async def main() -> tuple[Completion | Failure, LiveRun]:
        run = LiveRun(QUESTION, seats(ScriptedMember("busy", (busy,), retries=5)), Limits(max_calls=2))
        return await run.ask("busy", QUESTION), run

    outcome, run = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.BUDGET
    assert run.ledger.usage.calls == 2


def test_the_budget_in_usd_counts_calls_in_flight() -> None:
    dear = Price(input_usd=0, output_usd=1e6)  # a dollar a token

    async def main() -> tuple[LiveRun, int]:
        request = Request.of("q", Sampling(max_tokens=2))
        pool = seats(*(ScriptedMember(f"m{n}", (Reply("two words", latency_s=0.02),), price=dear) for n in range(4)))
        run = LiveRun(request, pool, Limits(max_usd=5))
        return run, len(await run.generate(list(pool), request))

    run, answered = asyncio.run(main())
    assert answered == 2  # 2 + 2 USD; a third could make 6
    assert run.ledger.usage.cost_usd == 4.0


def test_a_budget_in_usd_says_whom_it_cannot_bound() -> None:
    async def main() -> list[str]:
        pool = seats(ScriptedMember("free", ("A",), price=Price(0, 0)), ScriptedMember("unknown", ("A",)))
        return [note.text for note in LiveRun(QUESTION, pool, Limits(max_usd=1)).ledger.trace.of(Noted)]

    assert asyncio.run(main()) == ["max_usd cannot bound members without a known price: unknown"]


def test_a_budget_in_tokens_stops_further_calls() -> None:
    async def main() -> Completion | Failure:
        pool = seats(ScriptedMember("a", (Reply("A", output_tokens=50),)), ScriptedMember("b", ("B",)))
        run = LiveRun(QUESTION, pool, Limits(max_tokens=40))
        await run.ask("a", QUESTION)
        return await run.ask("b", QUESTION)

    outcome = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.BUDGET


# ---- cancellation -----------------------------------------------------------------------------


def test_cancelling_the_run_cancels_every_call_and_says_so() -> None:
    async def main() -> tuple[LiveRun, int]:
        pool = seats(*(ScriptedMember(f"m{n}", (Reply(hang=True),)) for n in range(3)))
        run = LiveRun(QUESTION, pool, FAST)
        task = asyncio.ensure_future(run.generate(list(pool), QUESTION))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run, sum(model(pool, name).active for name in pool)

    run, active = asyncio.run(main())
    assert active == 0
    assert set(failures(run).values()) == {FailureKind.CANCELLED}
    assert len(list(run.ledger.trace.of(CallFailed))) == 3


def test_a_cut_reaches_calls_within_calls() -> None:
    async def main() -> LiveRun:
        pool = seats(ScriptedMember("quick", ("A",)), ScriptedMember("slow", (Reply(hang=True),)))
        run = LiveRun(QUESTION, pool, Limits(quorum=1, grace_s=0.02))

        async def ballot(name: str) -> Completion | Failure | None:
            return (await run.gather([run.ask(name, QUESTION)]))[0]

        assert [outcome is not None for outcome in await run.gather([ballot("quick"), ballot("slow")])] == [True, False]
        return run

    run = asyncio.run(main())
    assert [(e.failure.member, e.failure.kind) for e in run.ledger.trace.of(CallFailed)] == [("slow", FailureKind.CUT)]
    assert failures(run) == {}  # what nobody waited for any more is no failure, unless it was to be an answer


def test_a_defect_in_a_part_is_raised_and_leaves_no_call_running() -> None:
    async def main() -> int:
        pool = seats(ScriptedMember("hangs", (Reply(hang=True),)))
        run = LiveRun(QUESTION, pool, FAST)

        async def broken() -> Completion | Failure:
            raise KeyError("a part's own defect")

        with pytest.raises(KeyError):
            await run.gather([run.ask("hangs", QUESTION), broken()])
        return model(pool, "hangs").active

    assert asyncio.run(main()) == 0


# ---- records ----------------------------------------------------------------------------------


def test_the_runs_own_request_stands_in_the_trace_once() -> None:
    other = Request((Message("user", "something else"),))

    async def main() -> list[CallStarted]:
        run = LiveRun(QUESTION, seats(ScriptedMember("a", ("A",))), FAST)
        await run.ask("a", QUESTION)
        await run.ask("a", other)
        return list(run.ledger.trace.of(CallStarted))

    first, second = asyncio.run(main())
    assert first.request is None
    assert second.request == other


def test_randomness_repeats_within_a_seed_and_differs_between_seeds() -> None:
    def draw(seed: int, *salt: object) -> list[int]:
        return [LiveRun(QUESTION, {}, seed=seed).rng(*salt).randrange(10**9) for _ in range(2)]

    assert draw(1, "order", "a")[0] == draw(1, "order", "a")[1]
    assert draw(1, "order", "a") != draw(1, "order", "b")
    assert draw(1, "order", "a") != draw(2, "order", "a")


def test_an_unknown_price_makes_the_sum_unknown_and_leaves_the_known_part() -> None:
    async def main() -> LiveRun:
        pool = seats(ScriptedMember("known", ("A B",), price=Price(0, 1e6)), ScriptedMember("unknown", ("A",)))
        run = LiveRun(QUESTION, pool, FAST)
        await run.generate(list(pool), QUESTION)
        return run

    run = asyncio.run(main())
    assert run.ledger.usage.cost_usd is None
    assert run.ledger.trace.bill.known_usd == 2.0
    assert run.ledger.trace.bill.unpriced == ("unknown",)


def test_a_cut_call_of_a_free_member_is_free_and_of_a_priced_one_unknown() -> None:
    async def main() -> dict[str, float | None]:
        hang = (Reply(hang=True),)
        pool = seats(
            ScriptedMember("quick", ("A",), price=Price(0, 0)),
            ScriptedMember("free", hang, price=Price(0, 0)),
            ScriptedMember("priced", hang, price=Price(1, 1)),
        )
        run = LiveRun(QUESTION, pool, Limits(quorum=1, grace_s=0.02))
        await run.generate(list(pool), QUESTION)
        return {name: usage.cost_usd for name, usage in run.ledger.trace.bill.members.items()}

    assert asyncio.run(main()) == {"quick": 0.0, "free": 0.0, "priced": None}


# ---- the answer stream ------------------------------------------------------------------------


class Composes:
    """A fuser that lets a member continue."""

    def __init__(self, member: str) -> None:
        self.member = member

    async def fuse(self, request: Request, best: Sequence[Standing], run: object) -> Candidate | Failure:
        assert isinstance(run, LiveRun)
        return await run.compose(self.member, Request.of("fuse"), [standing.candidate for standing in best])


async def fused(reply: Reply) -> tuple[Candidate | Failure, list[object]]:
    channel = Channel()
    pool = seats(ScriptedMember("a", (Reply("A", pieces=1), reply)))
    run = LiveRun(QUESTION, pool, FAST, channel=channel)
    found = await run.generate(["a"], QUESTION)
    outcome = await run.fuse(Composes("a"), QUESTION, [Standing(found[0])])
    run.answer(Result(outcome, "fused") if isinstance(outcome, Candidate) else Result(found[0], "ranked"))
    channel.close()
    return outcome, [item async for item in channel if isinstance(item, Piece | AnswerPiece | AnswerReset)]


def test_what_a_fuser_composes_is_the_answer_and_everything_else_is_not() -> None:
    outcome, items = asyncio.run(fused(Reply("the final answer", pieces=4)))
    assert isinstance(outcome, Candidate)
    assert outcome.parents == ("c1",)
    assert [item.text for item in items if isinstance(item, Piece)] == ["A"]
    assert "".join(item.text for item in items if isinstance(item, AnswerPiece)) == "the final answer"


def test_an_answer_that_breaks_off_is_withdrawn_before_the_fallback() -> None:
    outcome, items = asyncio.run(fused(Reply("the final ans", pieces=4, fail=FailureKind.TRUNCATED)))
    assert isinstance(outcome, Failure)
    kinds = [type(item).__name__ for item in items]
    assert kinds == ["Piece", "AnswerPiece", "AnswerReset", "AnswerPiece"]
    assert items[-1] == AnswerPiece("A")


def test_nobody_is_asked_for_a_stream_when_nobody_listens() -> None:
    heard: list[bool] = []

    class Listening:
        card = Card("m")

        async def generate(self, request: Request, emit: object) -> Completion:
            heard.append(emit is not None)
            return Completion("m", "text")

    async def main() -> None:
        pool = {"m": Seat(Card("m"), Listening())}
        await LiveRun(QUESTION, pool, FAST).ask("m", QUESTION)
        await LiveRun(QUESTION, pool, FAST, channel=Channel()).ask("m", QUESTION)

    asyncio.run(main())
    assert heard == [False, True]


# ---- the cache --------------------------------------------------------------------------------


def test_an_equal_request_is_answered_from_the_cache_at_no_usage() -> None:
    async def main() -> tuple[list[Completion | Failure], LiveRun]:
        cache = ResponseCache(entries=2, ttl_s=60)
        pool = seats(ScriptedMember("a", ("first", "second", "third"), price=Price(1, 1)))
        run = LiveRun(QUESTION, pool, FAST, cache=cache)
        return [await run.ask("a", q) for q in (QUESTION, Request.of("other"), QUESTION)], run

    outcomes, run = asyncio.run(main())
    assert [o.text for o in outcomes if isinstance(o, Completion)] == ["first", "second", "first"]
    assert run.ledger.usage.calls == 2
    assert [e.cached for e in run.ledger.trace.of(CallFinished)] == [False, False, True]


def test_failures_are_not_cached_and_old_entries_go() -> None:
    async def main() -> None:
        cache = ResponseCache(entries=1, ttl_s=60)
        pool = seats(ScriptedMember("a", (Reply(fail=FailureKind.HTTP), Reply("later"))))
        with pytest.raises(NoAnswer):
            await LiveRun(QUESTION, pool, FAST, cache=cache).generate(["a"], QUESTION)
        outcome = await LiveRun(QUESTION, pool, FAST, cache=cache).ask("a", QUESTION)
        assert isinstance(outcome, Completion)
        cache.put("b", QUESTION, outcome)
        assert cache.get("a", QUESTION) is None
        assert cache.get("b", QUESTION) is not None
        expired = ResponseCache(entries=1, ttl_s=-1)
        expired.put("a", QUESTION, outcome)
        assert expired.get("a", QUESTION) is None

    asyncio.run(main())


def test_a_member_error_says_what_the_run_needs_to_know() -> None:
    error = MemberError("busy", FailureKind.HTTP, retryable=True, retry_after_s=3)
    assert (str(error), error.kind, error.retryable, error.retry_after_s) == ("busy", FailureKind.HTTP, True, 3)
