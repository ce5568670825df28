"""Policies in live conversations, over every store: who is asked on which turn, however the client goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import conversation_worker
import pytest
from stores import Where

from coterie import AnswerPiece, Committee, Reply, ScriptedMember
from coterie.policies import AlternateRanking, DynamicElimination, FixedInterval, FullRanking
from coterie.protocols import Method, Policy
from coterie.specs import build
from coterie.store import Database
from coterie.trace import TurnPlanned
from coterie.types import FailureKind, Message, Place
from ten_questions_live import PLANS, QUESTIONS, Client, by_judge, by_peers, committee, order_of

TEN = Place(turns=10)


def over(where: Where, method: Method, **more: Method) -> Committee:
    """A committee that keeps its conversations there."""
    return committee(method, None if where.url is None else Database.at(where.url), **more)


# ---- ten questions ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [by_judge, by_peers], ids=["judge", "peers"])
@pytest.mark.parametrize("kind", sorted(PLANS))
def test_a_client_without_ids_is_led_as_worked_out_by_hand(
    where: Where, kind: str, method: Callable[[Policy], Method]
) -> None:
    async def main() -> None:
        async with over(where, method(build("policies", kind))) as made:
            assert await Client(made, TEN).talk() == PLANS[kind]

    asyncio.run(main())


@pytest.mark.parametrize("kind", sorted(PLANS))
def test_a_client_with_an_id_that_sends_the_newest_message_alone_is_led_the_same(where: Where, kind: str) -> None:
    async def main() -> None:
        async with over(where, by_judge(build("policies", kind))) as made:
            assert await Client(made, Place("trip", "ann", 10), alone=True).talk() == PLANS[kind]

    asyncio.run(main())


def test_where_nobody_knows_the_turns_the_expected_ones_count_and_survivors_stay(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(DynamicElimination(expected_turns=5))) as made:
            client = Client(made)
            assert await client.talk() == " ".join(["abcde>2"] * 3 + ["abd>2"] * 7)
            assert client.planned.survivors == ("a", "b", "d")

    asyncio.run(main())


@pytest.mark.parametrize("rank_survivors", [True, False])
def test_fixed_interval_goes_by_the_first_of_three_conversations(where: Where, rank_survivors: bool) -> None:
    async def main() -> None:
        async with over(where, by_judge(FixedInterval(rank_survivors=rank_survivors))) as made:
            clients = [Client(made, TEN) for _ in range(4)]
            plans = [await client.talk() for client in clients]
            assert [client.planned.conversation for client in clients] == [1, 2, 3, 4]
        everybody, others = " ".join(["abcde>2"] * 10), " ".join(["abd>2" if rank_survivors else "ab"] * 10)
        assert plans == [everybody, others, others, everybody]

    asyncio.run(main())


def test_scopes_have_intervals_of_their_own(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(FixedInterval())) as made:
            await Client(made, Place(scope="ann")).talk()
            assert await Client(made, Place(scope="bob")).ask("question 1") == "abcde>2"
            assert await Client(made, Place(scope="ann")).ask("question 1") == "abd>2"

    asyncio.run(main())


# ---- forks, edits, turns at once --------------------------------------------------------------


def test_an_edited_question_goes_on_from_before_it(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(AlternateRanking())) as made:
            client = Client(made)
            await client.ask("question 1")
            before = client.again()
            assert await client.ask("question 2") == "ba"
            assert await client.ask("question 3") == "abcde>2"
            assert await client.ask("question 4") == "db"
            # Question 2 asked otherwise is the second turn again, and what came after the first one never was.
            assert await before.ask("question 5") == "ba"
            assert before.planned.turn == 2
            assert await before.ask("question 6") == "abcde>2"
            assert await before.ask("question 2") == "ce"

    asyncio.run(main())


def test_branches_that_fork_at_one_turn_learn_apart(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(AlternateRanking())) as made:
            left = Client(made, Place("trip"))
            await left.talk(QUESTIONS[:2])
            right = left.again()
            assert [await left.ask("question 5"), await right.ask("question 7")] == ["abcde>2", "abcde>2"]
            assert [await left.ask("question 8"), await right.ask("question 8")] == ["ad", "ec"]

    asyncio.run(main())


def test_two_turns_at_once_stand_side_by_side(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(DynamicElimination())) as made:
            client = Client(made, TEN)
            await client.talk(QUESTIONS[:4])
            branches = [client.again() for _ in range(4)]
            plans = await asyncio.gather(*(b.ask(q) for b, q in zip(branches, QUESTIONS[4:8], strict=True)))
            assert list(plans) == ["abcde>2"] * 4
            assert [branch.planned.turn for branch in branches] == [5] * 4
            assert await asyncio.gather(*(branch.ask("question 9") for branch in branches)) == ["abd>2"] * 4
            assert {branch.planned.turn for branch in branches} == {6}

    asyncio.run(main())


def test_conversations_that_begin_at_once_have_numbers_of_their_own(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(FixedInterval())) as made:
            clients = [Client(made) for _ in range(6)]
            await asyncio.gather(*(client.ask("question 1") for client in clients))
            assert sorted(client.planned.conversation for client in clients) == [1, 2, 3, 4, 5, 6]

    asyncio.run(main())


def test_an_answer_that_was_stopped_half_way_costs_its_turn_alone(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(DynamicElimination())) as made:
            client = Client(made, TEN)
            await client.talk(QUESTIONS[:5])
            client.messages = (*client.messages, Message("user", "question 6"), Message("assistant", "fused b"))
            assert await client.ask("question 7") == "abd>2"
            assert client.planned.turn == 6

    asyncio.run(main())


# ---- several methods --------------------------------------------------------------------------


def test_methods_of_one_conversation_keep_to_themselves(where: Where) -> None:
    async def main() -> None:
        methods = {"peers": by_peers(AlternateRanking()), "full": by_judge(FullRanking())}
        async with over(where, by_judge(AlternateRanking()), **methods) as made:
            client = Client(made)
            plans = [
                await client.ask("question 1"),
                await client.ask("question 2", "peers"),
                await client.ask("question 3", "peers"),
                await client.ask("question 4"),
                await client.ask("question 5", "full"),  # keeps nothing
                await client.ask("question 6", "peers"),
            ]
            assert plans == ["abcde>2", "abcde>2", "ab", "ba", "abcde>2", "abcde>2"]

    asyncio.run(main())


def test_what_ranks_names_the_sums_and_not_the_methods_name(where: Where) -> None:
    async def main() -> None:
        policy = AlternateRanking()
        other = {
            "renamed": by_judge(policy),
            "fewer": by_judge(policy, "abcd"),
            "larger": by_judge(policy, top_k=3),
            "sometimes": by_judge(AlternateRanking(every=3)),
        }
        async with over(where, by_judge(policy), **other) as made:
            client = Client(made)
            await client.ask("question 1")
            assert await client.again().ask("question 2", "renamed") == "ba"
            assert await client.again().ask("question 2", "fewer") == "abcd>2"
            assert await client.again().ask("question 2", "larger") == "abcde>3"
            assert await client.again().ask("question 2", "sometimes") == "abcde>2"

    asyncio.run(main())


# ---- who fails --------------------------------------------------------------------------------


def test_a_first_question_that_nobody_answered_began_no_conversation(where: Where) -> None:
    async def main() -> None:
        names = ("a", "b")
        failing = [
            ScriptedMember(name, (Reply(fail=FailureKind.CONNECTION), name), likelihoods={"a": -1.0, "b": -2.0})
            for name in names
        ]
        method = by_judge(FixedInterval(), names)
        store = None if where.url is None else Database.at(where.url)
        async with Committee(failing, {"default": method}, store=store) as made:
            client = Client(made)
            with pytest.raises(Exception, match="none of 2 members answered"):
                await client.ask("question 1")
            assert await client.ask("question 1") == "ab>2"
            assert client.planned.conversation == 1
            later = Client(made)
            assert await later.ask("question 1") == "b"  # of b and a, the first conversation ranked b first
            assert later.planned.conversation == 2

    asyncio.run(main())


def test_a_cancelled_first_question_began_no_conversation(where: Where) -> None:
    async def main() -> None:
        slow = [ScriptedMember(name, (Reply(name, latency_s=30), name)) for name in "ab"]
        store = None if where.url is None else Database.at(where.url)
        async with Committee(slow, {"default": by_judge(FixedInterval(), "ab")}, store=store) as made:
            client = Client(made)
            task = asyncio.create_task(client.ask("question 1"))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.ask("question 1")
            assert client.planned.conversation == 1

    asyncio.run(main())


# ---- processes --------------------------------------------------------------------------------


def test_processes_share_an_interval(url: str) -> None:
    first = conversation_worker.start("fixed_interval", url).communicate(timeout=120)[0]
    assert first.split("\n") == [*["1 abcde>2"] * 10, ""]
    # Without names nobody could tell the two apart: they say the same words at the same time.
    others = [conversation_worker.start("fixed_interval", url, name) for name in ("one", "other")]
    told = [worker.communicate(timeout=120)[0].split("\n") for worker in others]
    assert sorted(told) == [[*[f"{number} abd>2"] * 10, ""] for number in (2, 3)]
    assert [worker.returncode for worker in others] == [0, 0]


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.12])
def test_a_process_that_is_killed_between_turns_loses_no_finished_one(url: str, wait_s: float) -> None:
    worker = conversation_worker.start("dynamic_elimination", url, latency_s=0.05)
    assert worker.stdout is not None
    finished = [worker.stdout.readline() for _ in range(6)]
    time.sleep(wait_s)
    worker.kill()
    finished += worker.communicate()[0].splitlines(keepends=True)
    done = len(finished)
    assert [line.split()[1] for line in finished] == PLANS["dynamic_elimination"].split()[:done]
    assert worker.returncode == -signal.SIGKILL

    async def go_on() -> None:
        async with committee(by_judge(DynamicElimination()), Database.at(url)) as made:
            client = Client(made, TEN, messages=heard(done))
            assert await client.ask(QUESTIONS[done]) == "abd>2"
            assert (client.planned.turn, client.planned.conversation) == (done + 1, 1)
            assert client.answers[-1].notes == ()

    asyncio.run(go_on())


def heard(turns: int) -> tuple[Message, ...]:
    """What a client of the worker knows after so many turns: the best of each turn has written its answer."""
    messages: list[Message] = []
    for turn, question in enumerate(QUESTIONS[:turns], 1):
        standing = "abcde" if turn <= 5 else "abd"
        best = next(name for name in order_of(question) if name in standing)
        messages += [Message("user", question), Message("assistant", f"fused by {best}")]
    return tuple(messages)


# ---- the stream, and what is touched ----------------------------------------------------------


def test_a_turn_that_was_streamed_is_kept_when_its_answer_comes(where: Where) -> None:
    async def main() -> None:
        async with over(where, by_judge(AlternateRanking())) as made:
            items = [item async for item in made.astream("question 1", conversation="trip")]
            assert any(isinstance(item, TurnPlanned) for item in items)
            assert "".join(item.text for item in items if isinstance(item, AnswerPiece)) == "fused by b"
            client = Client(made, Place("trip"), alone=True)
            assert await client.ask("question 2") == "ba"

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["full_ranking", "first_k", "random_k", "random_pick", "alternate_ranking"])
def test_no_file_is_touched_where_a_policy_keeps_nothing(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "folder" / "store.db"

    async def main() -> None:
        policy: Policy = build("policies", kind)
        async with committee(by_judge(policy), Database.at(str(file))) as made:
            await made.aask("question 1", conversation="trip")
        assert file.parent.exists() == (not policy.memoryless)

    asyncio.run(main())


def test_a_store_that_keeps_no_conversation_makes_each_turn_one_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        store = Database.at(str(tmp_path / "store.db"), keep_days=None)
        async with committee(by_judge(FixedInterval()), store) as made:
            client = Client(made)
            assert await client.talk(QUESTIONS[:4]) == "abcde>2 abd>2 abd>2 abcde>2"
            assert client.planned.conversation == 4

    asyncio.run(main())
