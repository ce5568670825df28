"""The circuit breaker: when a member is left alone, for how long, and what brings it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from coterie import config
from coterie.committee import Committee
from coterie.config import BreakerSettings
from coterie.errors import ConfigError, MemberError, NoAnswer
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.methods.vote import Vote
from coterie.run import Breaker, LiveRun, Seat
from coterie.run.breaker import LONGEST_REST_S, sign_of
from coterie.types import Completion, Failure, FailureKind, Limits, Request
from http_faults import FaultServer
from http_replies import Reply as Http

QUESTION = Request.of("What is the capital of France?")


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, failures: int = 3, window_s: float = 30.0, rest_s: float = 10.0) -> Breaker:
    return Breaker(failures, window_s, rest_s, clock)


def state(breaker: Breaker) -> str:
    return breaker.state


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter())


# ---- states -----------------------------------------------------------------------------------


def test_it_opens_after_so_many_failures_rests_and_lets_one_call_try() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 2)
    assert (one.state, one.wait_s) == ("closed", 0.0)
    fail(one)
    assert (one.state, one.wait_s, one.opened) == ("open", 10.0, 1)
    clock.now += 10
    assert (one.state, one.wait_s) == ("half_open", 0.0)
    probe = one.enter()
    assert one.wait_s > 0, "one call is enough to try"
    one.succeeded(probe)
    assert (one.state, one.wait_s) == ("closed", 0.0)
    fail(one, 2)
    assert state(one) == "closed", "what was before it opened is forgotten"


def test_a_call_that_fails_after_the_rest_opens_it_again() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    clock.now += 10
    fail(one)
    assert (one.state, one.wait_s, one.opened) == ("open", 10.0, 1)


def test_a_trying_call_that_nobody_waits_for_makes_place_for_the_next() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    clock.now += 10
    one.left(one.enter())
    assert (one.state, one.wait_s) == ("half_open", 0.0)
    one.succeeded(one.enter())
    assert state(one) == "closed"


def test_calls_from_before_it_opened_change_nothing() -> None:
    clock = Clock()
    one = breaker(clock)
    early = [one.enter() for _ in range(3)]
    fail(one, 3)
    one.succeeded(early[0])
    assert state(one) == "open"
    clock.now += 10
    probe = one.enter()
    one.failed(early[1])
    one.left(early[2])
    assert one.wait_s > 0, "the trying call is still under way"
    one.succeeded(probe)
    assert state(one) == "closed"


def test_few_failures_among_many_answers_leave_it_closed() -> None:
    one = breaker(Clock())
    for _ in range(50):
        one.succeeded(one.enter())
        one.succeeded(one.enter())
        fail(one)
    assert state(one) == "closed"
    fail(one, 50)
    assert state(one) == "open"


def test_failures_older_than_the_window_are_forgotten() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 2)
    clock.now += 30
    fail(one, 2)
    assert state(one) == "closed"
    fail(one)
    assert state(one) == "open"


def test_counts_are_kept_and_not_calls() -> None:
    clock = Clock()
    one = breaker(clock)
    for _ in range(5000):
        clock.now += 0.01
        one.succeeded(one.enter())
    assert len(one._slices) <= 11


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_asks_for_a_rest_gets_it(status: int) -> None:
    one = breaker(Clock())
    one.heard(one.enter(), MemberError("later", FailureKind.HTTP, retry_after_s=40.0, status=status))
    assert one.wait_s == 40.0
    one.heard(0, MemberError("later", FailureKind.HTTP, retry_after_s=60.0, status=status))
    assert one.wait_s == 60.0, "a call that was under way heard of a longer one"


def test_no_endpoint_can_ask_for_a_rest_without_end() -> None:
    one = breaker(Clock())
    one.heard(one.enter(), MemberError("never", FailureKind.HTTP, retry_after_s=1e9, status=429))
    assert one.wait_s == LONGEST_REST_S


SIGNS = {
    "refused": (MemberError("", FailureKind.CONNECTION), "ill"),
    "too_slow": (MemberError("", FailureKind.TIMEOUT), "ill"),
    "a_page": (MemberError("", FailureKind.MALFORMED), "ill"),
    "broken_off": (MemberError("", FailureKind.TRUNCATED), "ill"),
    "overloaded": (MemberError("", FailureKind.HTTP, status=529), "ill"),
    "bad_request": (MemberError("", FailureKind.HTTP, status=400), "well"),
    "no_key": (MemberError("", FailureKind.HTTP, status=401), "well"),
    "silent": (MemberError("", FailureKind.EMPTY), "well"),
    "busy": (MemberError("", FailureKind.HTTP, status=429, retry_after_s=1.0), "none"),
    "an_error_in_200": (MemberError("", FailureKind.HTTP), "none"),
    "deadline": (MemberError("", FailureKind.DEADLINE), "none"),
    "cut": (MemberError("", FailureKind.CUT), "none"),
    "defect": (MemberError("", FailureKind.INTERNAL), "none"),
}


@pytest.mark.parametrize("name", SIGNS)
def test_what_a_failure_says_of_the_endpoint(name: str) -> None:
    error, sign = SIGNS[name]
    assert sign_of(error) == sign
    one = breaker(Clock())
    for _ in range(3):
        one.heard(one.enter(), error)
    assert state(one) == ("open" if sign == "ill" else "closed")


class Watched(RuleBasedStateMachine):
    """Calls that begin and end in any order, while time passes: a plain model says what must hold."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = breaker(self.clock, failures=2, window_s=5.0, rest_s=3.0)
        self.opened_s: float | None = None
        self.probe: int | None = None
        self.probes_under_way = 0

    @rule(seconds=st.floats(0.0, 6.0))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.breaker.wait_s == 0)
    @rule(target=calls)
    def a_call_begins(self) -> int:
        trying = self.breaker.state == "half_open"
        ticket = self.breaker.enter()
        if trying:
            assert self.probe is None, "one call tries at a time"
            self.probe = ticket
        return ticket

    @rule(ticket=consumes(calls), how=st.sampled_from(["succeeded", "failed", "left"]))
    def a_call_ends(self, ticket: int, how: str) -> None:
        before = self.breaker.state
        getattr(self.breaker, how)(ticket)
        after = self.breaker.state
        if ticket == self.probe:
            self.probe = None
            wanted = {"succeeded": "closed", "failed": "open", "left": "half_open"}[how]
            assert after == wanted
        elif before != "closed":
            assert after == before, "only the trying call changes anything"
        elif how != "failed":
            assert after == "closed"
        if after == "open" and before != "open":
            self.opened_s = self.clock.now

    @invariant()
    def no_call_is_made_while_it_rests_and_it_rests_no_longer(self) -> None:
        if self.breaker.state == "open":
            assert self.opened_s is not None
            assert self.breaker.wait_s == pytest.approx(self.opened_s + 3.0 - self.clock.now)
            assert self.probe is None
        if self.breaker.state == "closed":
            assert self.breaker.wait_s == 0
        if self.breaker.state == "half_open":
            assert (self.breaker.wait_s > 0) == (self.probe is not None)


TestWatched = Watched.TestCase
TestWatched.settings = settings(max_examples=40, stateful_step_count=40)


# ---- in a run ---------------------------------------------------------------------------------


def seat(member: ScriptedMember, own: Breaker) -> Seat:
    slots = asyncio.Semaphore(member.max_concurrency) if member.max_concurrency else None
    return Seat(member.card, ScriptedModel(member), "", member.timeout_s, member.retries, slots, own)


async def asked(pool: Mapping[str, Seat], deadline_s: float = 5.0) -> Completion | Failure:
    return await LiveRun(QUESTION, pool, Limits(deadline_s)).ask("m", QUESTION)


def requests(pool: Mapping[str, Seat]) -> int:
    model = pool["m"].model
    assert isinstance(model, ScriptedModel)
    return len(model.requests)


def test_a_member_whose_endpoint_is_in_trouble_is_not_asked_until_it_rested() -> None:
    async def main() -> None:
        clock = Clock()
        ill = Reply(fail=FailureKind.CONNECTION)
        pool = {"m": seat(ScriptedMember("m", (ill, ill, ill, "Paris"), retries=0), breaker(clock))}
        for _ in range(3):
            failed = await asked(pool)
            assert isinstance(failed, Failure)
            assert failed.kind is FailureKind.CONNECTION
        skipped = await asked(pool)
        assert isinstance(skipped, Failure)
        assert (skipped.kind, skipped.retry_after_s, skipped.usage.calls) == (FailureKind.UNAVAILABLE, 10.0, 0)
        assert "left alone for 10.0 s" in skipped.error
        assert requests(pool) == 3
        clock.now += 10
        assert isinstance(await asked(pool), Completion)
        assert pool["m"].breaker is not None
        assert pool["m"].breaker.state == "closed"

    asyncio.run(main())


def test_tries_count_and_none_follows_once_it_is_open() -> None:
    async def main() -> None:
        ill = Reply(fail=FailureKind.CONNECTION, retry_after_s=0.001)
        pool = {"m": seat(ScriptedMember("m", (ill,), retries=10), breaker(Clock()))}
        failed = await asked(pool)
        assert isinstance(failed, Failure)
        assert (failed.kind, failed.usage.calls) == (FailureKind.CONNECTION, 3)

    asyncio.run(main())


def test_calls_that_wait_for_a_slot_are_let_go_when_it_opens() -> None:
    async def main() -> None:
        ill = Reply(fail=FailureKind.CONNECTION, latency_s=0.01)
        pool = {"m": seat(ScriptedMember("m", (ill,), retries=0, max_concurrency=1), breaker(Clock()))}
        outcomes = await asyncio.gather(*(asked(pool) for _ in range(8)))
        kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, Failure)]
        assert kinds == [FailureKind.CONNECTION] * 3 + [FailureKind.UNAVAILABLE] * 5
        assert requests(pool) == 3

    asyncio.run(main())


def test_a_members_own_time_out_counts_and_a_requests_deadline_does_not() -> None:
    async def main() -> None:
        hangs = ScriptedMember("m", (Reply(hang=True),), timeout_s=0.01)
        own = {"m": seat(hangs, breaker(Clock(), failures=2))}
        for kind in (FailureKind.TIMEOUT, FailureKind.TIMEOUT, FailureKind.UNAVAILABLE):
            failed = await asked(own)
            assert isinstance(failed, Failure)
            assert failed.kind is kind
        patient = ScriptedMember("m", (Reply(hang=True),), timeout_s=5)
        ours = {"m": seat(patient, breaker(Clock(), failures=2))}
        for _ in range(3):
            failed = await asked(ours, deadline_s=0.01)
            assert isinstance(failed, Failure)
            assert failed.kind is FailureKind.DEADLINE

    asyncio.run(main())


def test_waiting_for_a_slot_says_nothing_of_the_endpoint() -> None:
    async def main() -> None:
        slow = ScriptedMember("m", (Reply("Paris", latency_s=0.2),), timeout_s=0.05, max_concurrency=1)
        pool = {"m": seat(slow, breaker(Clock(), failures=2))}
        outcomes = await asyncio.gather(*(asked(pool) for _ in range(5)))
        assert all(isinstance(outcome, Failure) for outcome in outcomes)
        assert pool["m"].breaker is not None
        assert pool["m"].breaker.state == "closed"

    asyncio.run(main())


def test_a_cancelled_call_counts_for_nothing() -> None:
    async def main() -> None:
        clock = Clock()
        pool = {"m": seat(ScriptedMember("m", (Reply("Paris", latency_s=5),)), breaker(clock, failures=1))}
        own = pool["m"].breaker
        assert own is not None
        for wanted in ("closed", "half_open"):
            call = asyncio.ensure_future(asked(pool))
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait([call])
            assert own.state == wanted
            if wanted == "closed":
                fail(own)
            clock.now += 10
        assert own.wait_s == 0, "the next call may try"

    asyncio.run(main())


# ---- in a committee ---------------------------------------------------------------------------


def test_a_dead_endpoint_costs_its_time_out_until_it_is_left_alone_and_is_used_again_when_it_is_back() -> None:
    scripts = {"good": Http("Paris"), "dead": Http(hang=True)}
    with FaultServer(scripts) as server:
        members = [
            OpenAIMember("dead", server.base_url, "dead", timeout_s=0.3, retries=0),
            OpenAIMember("good", server.base_url, "good"),
        ]
        methods = {"default": Vote(("dead", "good"))}
        with Committee(members, methods, breaker=BreakerSettings(failures=2, rest_s=0.5)) as committee:
            took_s = []
            for _ in range(5):
                began = time.perf_counter()
                assert committee.ask("The capital of France?").text == "Paris"
                took_s.append(time.perf_counter() - began)
            assert min(took_s[:2]) > 0.29
            assert max(took_s[2:]) < 0.3
            assert server.count("dead") == 2
            assert state(committee.breakers["dead"]) == "open"
            assert state(committee.breakers["good"]) == "closed"
            server.scripts["dead"] = Http("Paris")
            time.sleep(0.5)
            answer = committee.ask("The capital of France?")
            assert not answer.failures
            assert server.count("dead") == 3
            assert state(committee.breakers["dead"]) == "closed"


def test_without_one_every_request_asks_anew() -> None:
    ill = ScriptedMember("m", (Reply(fail=FailureKind.CONNECTION),), retries=0)
    with Committee([ill], {"default": Vote(("m",))}) as committee:
        for _ in range(8):
            with pytest.raises(NoAnswer) as caught:
                committee.ask("?")
            assert caught.value.failures[0].kind is FailureKind.CONNECTION
        assert not committee.breakers


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"window_s": 0}, {"rest_s": "inf"}, {"rests": 1}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    given = {"members": {"a": {"engine": "scripted", "replies": ["x"]}}, "gateway": {"breaker": wrong}}
    with pytest.raises(ConfigError, match="gateway"):
        config.load(given)
