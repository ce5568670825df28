"""Where a request stands in its conversation: a store that is away or slow, who fails, replays, seeds, scales."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from coterie import Answer, Committee, ConfigError, Limits, NoAnswer, PeerBlend, RankAndFuse, Reply, ScriptedMember
from coterie.committee import conduct
from coterie.errors import StoreError
from coterie.judges.length import Length
from coterie.judges.pair_ranker import PairRanker
from coterie.members.scripted import ScriptedModel
from coterie.policies import AlternateRanking, DynamicElimination, FixedInterval, FullRanking, RandomK, RandomPick
from coterie.protocols import Emit, House, Method, Model, Policy
from coterie.ranking import RULES
from coterie.replays import areplay
from coterie.run import KeptThread, LiveRun, Seat
from coterie.run.thread import ranking_of_members
from coterie.store import Database, MemoryStore
from coterie.store.memory import MemoryConversations, MemoryRecords
from coterie.trace import Noted, Trace, TurnPlanned
from coterie.turns import Conversation, Plan
from coterie.types import (
    Candidate,
    Card,
    Completion,
    FailureKind,
    Json,
    Judgement,
    Message,
    Place,
    Ranking,
    Request,
    Transcript,
    Turn,
)
from ten_questions_live import QUESTIONS, Client, by_judge, by_peers, committee, members

SOON = Limits(deadline_s=2.0)


def plan_of(answer: Answer) -> Plan:
    return planned(answer.trace).plan


def planned(trace: Trace) -> TurnPlanned:
    return next(trace.of(TurnPlanned))


def notes(answer: Answer) -> str:
    return "\n".join(event.text for event in answer.trace.of(Noted))


def test_the_pair_ranker_serves_a_policy_like_any_judge() -> None:
    pytest.importorskip("onnxruntime", reason="the shipped ranker needs the extra local")

    async def main() -> None:
        texts = {"a": "Bananas.", "b": "It is Lima, the capital of Peru.", "c": "x x x x", "d": "Lima."}
        judge = PairRanker("coterie/pair-ranker-minilm")
        method = RankAndFuse(tuple(texts), judge=judge, rule="max_logits", top_k=2, policy=AlternateRanking())
        async with Committee([ScriptedMember(n, (t,)) for n, t in texts.items()], {"default": method}) as made:
            asked = [Message("user", "What is the capital of Peru?")]
            first = await made.aask(asked)
            assert first.ranking is not None
            author = {candidate.id: candidate.author for candidate in first.candidates}
            asked += [Message("assistant", first.text), Message("user", "Are you sure?")]
            second = await made.aask(asked)
            assert plan_of(second) == Plan.unranked([author[id_] for id_ in first.ranking.order[:2]])
            assert second.judgements == ()

    asyncio.run(main())


# ---- a store that fails -----------------------------------------------------------------------


@dataclass
class Conversations:
    """Those of a store that takes its time, or is away."""

    kept: MemoryConversations = field(default_factory=MemoryConversations)
    away: str = ""
    finding_s: float = 0.0
    keeping_s: float = 0.0

    async def last(self, transcript: Transcript) -> Turn | None:
        await asyncio.sleep(self.finding_s)
        return await self._unless_away(self.kept.last(transcript))

    async def remember(
        self, transcript: Transcript, answer: Message, run: str, state: Mapping[str, Json], after: Turn | None = None
    ) -> Turn | None:
        await asyncio.sleep(self.keeping_s)
        return await self._unless_away(self.kept.remember(transcript, answer, run, state, after))

    async def forget(self, conversation: str, scope: str = "") -> bool:
        return await self.kept.forget(conversation, scope)

    async def _unless_away(self, work: Awaitable[Turn | None]) -> Turn | None:
        found = await work
        if self.away:
            raise StoreError(self.away)
        return found


@dataclass(frozen=True)
class Shaky:
    """A store with such conversations."""

    conversations: Conversations = field(default_factory=Conversations)
    records: MemoryRecords = field(default_factory=MemoryRecords)


async def turn(
    store: Any, method: Method, messages: Sequence[Message], limits: Limits = SOON, pool: Sequence[ScriptedMember] = ()
) -> Answer:
    """One turn of a run that keeps its thread there."""
    seats = {member.name: Seat(member.card, ScriptedModel(member)) for member in pool or members()}
    run = LiveRun(Request.of(messages), seats, limits)
    run.thread = KeptThread(store, Transcript(tuple(messages)), rule="mean")
    return await conduct(run, method, "default")


def asked(number: int) -> tuple[Message, ...]:
    said = [m for q in QUESTIONS[: number - 1] for m in (Message("user", q), Message("assistant", "a on " + q))]
    return (*said, Message("user", QUESTIONS[number - 1]))


def alone() -> Method:
    """Ranks all, then has the best one answer, verbatim."""
    return replace(by_judge(AlternateRanking(), top_k=1), rule="mean")  # type: ignore[type-var]


def test_a_store_that_is_away_costs_the_conversation_and_not_the_answer() -> None:
    async def main() -> tuple[Answer, Answer, Answer]:
        store = Shaky()
        first = await turn(store, alone(), asked(1))
        store.conversations.away = "the disk is full"
        lost = await turn(store, alone(), (*asked(1), Message("assistant", first.text), Message("user", QUESTIONS[1])))
        store.conversations.away = ""
        found = await turn(store, alone(), (*asked(1), Message("assistant", first.text), Message("user", QUESTIONS[1])))
        return first, lost, found

    first, lost, found = asyncio.run(main())
    assert plan_of(first).ranks
    assert plan_of(lost).ranks
    assert "earlier turns are not known (the disk is full), so this is taken for its first" in notes(lost)
    assert "could not be kept" not in notes(lost)  # it was not tried: what was not found is not written over
    assert plan_of(found) == Plan.unranked("b")
    assert notes(found) == ""


def test_a_turn_that_cannot_be_kept_is_answered_all_the_same() -> None:
    async def main() -> Answer:
        store = Shaky()

        async def fail() -> None:
            await asyncio.sleep(0.05)
            store.conversations.away = "gone"

        _, answer = await asyncio.gather(fail(), turn(store, alone(), asked(1), pool=members(0.05)))
        return answer

    answer = asyncio.run(main())
    assert answer.text == "b on question 1"
    assert "this turn could not be kept, so the next one will not know of it: gone" in notes(answer)


def test_a_slow_store_takes_a_small_share_of_the_time_that_is_left() -> None:
    async def main() -> tuple[Answer, float]:
        began = time.perf_counter()
        answer = await turn(Shaky(Conversations(finding_s=30)), alone(), asked(1))
        return answer, time.perf_counter() - began

    answer, took_s = asyncio.run(main())
    assert answer.text == "b on question 1"
    assert "did not answer in time" in notes(answer)
    assert took_s < 1.0


def test_after_the_deadline_a_turn_is_kept_still() -> None:
    async def main() -> Turn | None:
        store = Shaky(Conversations(keeping_s=0.5))
        slow = [*members()[:4], ScriptedMember("e", (Reply(hang=True),))]
        answer = await turn(store, alone(), asked(1), Limits(deadline_s=0.3), slow)
        assert answer.partial
        told = (*asked(1), Message("assistant", answer.text), Message("user", "and?"))
        return await store.conversations.kept.last(Transcript(told))

    assert asyncio.run(main()) is not None


def test_an_answer_that_was_given_is_kept_when_nobody_waits_any_more() -> None:
    async def main() -> tuple[bool, Turn | None]:
        store = Shaky(Conversations(keeping_s=0.2))
        task = asyncio.create_task(turn(store, alone(), asked(1)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        record = [*store.records._records.values()]
        told = (*asked(1), Message("assistant", "b on question 1"), Message("user", "and?"))
        return len(record) == 1, await store.conversations.kept.last(Transcript(told))

    begun, kept = asyncio.run(main())
    assert begun
    assert kept is not None


def test_a_defect_of_a_policy_after_the_answer_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(AlternateRanking):
        def after(self, conversation: Conversation, plan: Plan, ranking: Ranking | None) -> Conversation:
            raise ZeroDivisionError("a defect")

    async def main() -> Answer:
        return await turn(Shaky(), by_judge(Forgetful(), top_k=1), asked(1))

    answer = asyncio.run(main())
    assert answer.text == "b on question 1"
    assert "ZeroDivisionError: a defect" in notes(answer)
    assert "could not be kept" in caplog.text


def test_a_database_that_cannot_be_opened_is_said_in_a_note_and_not_tried_by_every_request(tmp_path: Any) -> None:
    async def main() -> list[Answer]:
        async with committee(by_judge(AlternateRanking()), Database.at(str(tmp_path))) as made:
            return [await made.aask("question 1", conversation="trip") for _ in range(2)]

    answers = asyncio.run(main())
    assert all("cannot be opened: Is a directory" in notes(answer) for answer in answers)
    assert [plan_of(answer).ranks for answer in answers] == [True, True]


def test_what_another_version_kept_is_no_conversation_of_ours() -> None:
    async def main() -> Answer:
        store = Shaky()
        first = await turn(store, alone(), asked(1))
        told = (*asked(1), Message("assistant", first.text))
        kept = await store.conversations.kept.last(Transcript((*told, Message("user", "x"))))
        assert kept is not None
        [key] = kept.state
        await store.conversations.kept.forget(kept.conversation)
        await store.conversations.kept.remember(
            Transcript(asked(1)), Message("assistant", first.text), "r", {key: {"pool": "of another kind"}}
        )
        for at in [*store.records._records]:
            store.records._records[at] = ('"no history"', 1)
        return await turn(store, alone(), (*told, Message("user", QUESTIONS[1])))

    answer = asyncio.run(main())
    assert plan_of(answer).ranks
    assert (planned(answer.trace).conversation, planned(answer.trace).turn) == (1, 1)
    assert notes(answer) == ""


# ---- who fails --------------------------------------------------------------------------------


def failing(*names: str, at: Callable[[str], bool]) -> list[ScriptedMember]:
    """The five members, some of whom are away at some questions."""

    def unless(member: ScriptedMember) -> ScriptedMember:
        script = member.script
        assert script is not None

        def away(request: Request, number: int) -> Reply | str:
            return Reply(fail=FailureKind.CONNECTION) if at(request.question) else script(request, number)

        return replace(member, script=away) if member.name in names else member

    return [unless(member) for member in members()]


def test_where_all_fail_who_were_to_write_the_others_are_asked_and_the_next_turn_is_led_on() -> None:
    async def main() -> tuple[Answer, str]:
        away = failing("a", "b", at=lambda question: question == "question 2")
        async with Committee(away, {"default": by_judge(AlternateRanking())}) as made:
            client = Client(made)
            await client.ask("question 1")
            sent = (*client.messages, Message("user", "question 2"))
            answer = await made.aask(sent)
            client.messages = (*sent, Message("assistant", answer.text))
            return answer, await client.ask("question 3")

    answer, third = asyncio.run(main())
    assert plan_of(answer) == Plan.unranked("ba")
    assert {c.author for c in answer.candidates} == {"c", "d", "e"}
    assert answer.text == "fused by c"
    assert third == "abcde>2"


def test_a_turn_that_one_member_answered_alone_is_counted_and_not_ranked() -> None:
    async def main() -> tuple[Answer, Client, str]:
        away = failing("b", "c", "d", "e", at=lambda question: question == "question 1")
        async with Committee(away, {"default": by_judge(AlternateRanking())}) as made:
            client = Client(made)
            sent = (Message("user", "question 1"),)
            answer = await made.aask(sent)
            client.messages = (*sent, Message("assistant", answer.text))
            return answer, client, await client.ask("question 2")

    answer, client, second = asyncio.run(main())
    assert answer.how == "only"
    assert second == "abcde>2"  # there is no ranking to reuse
    assert client.planned.turn == 2


def test_a_question_that_nobody_answered_is_the_same_turn_again() -> None:
    async def main() -> list[tuple[int, str]]:
        times = {"question 2": 5}

        def away(question: str) -> bool:
            times[question] = times.get(question, 0) - 1
            return times[question] >= 0

        async with Committee(failing("a", "b", "c", "d", "e", at=away), {"default": by_judge(AlternateRanking())}) as m:
            client = Client(m)
            await client.ask("question 1")
            with pytest.raises(NoAnswer):
                await client.ask("question 2")
            seen = [(client.planned.turn, await client.ask("question 2"))]
            return [*seen, (client.planned.turn, await client.ask("question 3"))]

    assert asyncio.run(main()) == [(1, "ba"), (2, "abcde>2")]


def test_a_first_turn_that_failed_takes_no_other_conversations_number() -> None:
    async def main() -> list[int]:
        slow = [ScriptedMember(name, (Reply(name, latency_s=0.3), name)) for name in "ab"]
        quick = [ScriptedMember(name, (name,)) for name in "ab"]
        store = MemoryStore()
        method = by_judge(FixedInterval(), "ab", 1)
        lost = asyncio.create_task(turn(store, method, asked(1), pool=slow))
        await asyncio.sleep(0.1)
        began = [planned((await turn(store, method, asked(1), pool=quick)).trace).conversation]
        lost.cancel()
        await asyncio.wait([lost])
        return [*began, planned((await turn(store, method, asked(1), pool=quick)).trace).conversation]

    assert asyncio.run(main()) == [2, 3]


# ---- tool calls -------------------------------------------------------------------------------

CALL: Mapping[str, Json] = {"id": "x1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}


@dataclass(frozen=True)
class Caller:
    """A member that calls a tool until it has a result."""

    name: str
    timeout_s: float = 5.0
    retries: int = 0

    @property
    def card(self) -> Card:
        return Card(self.name)

    async def open(self, house: House) -> Model:
        return self

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        if request.messages[-1].role == "tool":
            return Completion(self.name, f"{self.name} has seen it")
        return Completion(self.name, "", tool_calls=(CALL,))


def test_a_tools_result_goes_on_from_the_call() -> None:
    async def main() -> tuple[Answer, Answer]:
        method = RankAndFuse(("ann", "bob"), judge=Length(), rule="mean", top_k=1, policy=AlternateRanking())
        async with Committee([Caller("ann"), Caller("bob")], {"default": method}) as made:
            first = await made.aask("question 1")
            call = Message("assistant", "", {"tool_calls": [{**CALL, "id": "another id"}]})
            told = Message("tool", "a lamp", {"tool_call_id": "another id"})
            return first, await made.aask([Message("user", "question 1"), call, told])

    first, second = asyncio.run(main())
    assert first.candidate.tool_calls == (CALL,)
    assert (planned(first.trace).turn, planned(second.trace).turn) == (1, 2)
    assert len(plan_of(second).members) == 1
    assert second.text.endswith("has seen it")


# ---- replays ----------------------------------------------------------------------------------


async def second_turn(method: Method) -> tuple[Answer, Trace]:
    async with committee(method) as made:
        client = Client(made)
        await client.ask("question 1")
        traces: list[Trace] = []
        await client.ask("question 2", on_trace=traces.append)
        return client.answers[-1], traces[0]


@pytest.mark.parametrize("policy", [AlternateRanking(), DynamicElimination(expected_turns=2), RandomK(), RandomPick()])
def test_a_turn_replays_as_it_was_planned(policy: Policy) -> None:
    async def main() -> None:
        answer, trace = await second_turn(by_peers(policy))
        traces: list[Trace] = []
        again = await areplay(trace, on_trace=traces.append)
        assert again.text == answer.text
        assert replace(planned(traces[0]), t_s=0.0) == replace(planned(trace), t_s=0.0)
        assert again.usage.calls == 0
        assert "not in the trace" not in str(again.failures)

    asyncio.run(main())


def test_a_replay_with_a_smaller_k_fuses_fewer_of_those_who_wrote() -> None:
    async def main() -> None:
        _, trace = await second_turn(by_peers(AlternateRanking()))
        assert plan_of(await areplay(trace)) == Plan.unranked("ba") == planned(trace).plan
        less = await areplay(trace, {"top_k": 1})
        assert (plan_of(less), less.text, less.how) == (Plan.unranked("b"), "b on question 2", "only")

    asyncio.run(main())


def test_a_replay_under_another_policy_asks_whom_that_one_wants() -> None:
    async def main() -> None:
        _, trace = await second_turn(by_peers(AlternateRanking()))
        other = await areplay(trace, {"policy": "full_ranking"})
        assert plan_of(other).members == ("a", "b", "c", "d", "e")
        assert {f.member for f in other.failures if f.kind is FailureKind.UNRECORDED} >= {"c", "d", "e"}

    asyncio.run(main())


# ---- seeds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [RandomPick(), RandomK()])
def test_one_seed_and_one_conversation_give_one_sequence_of_plans(policy: Policy) -> None:
    async def main() -> None:
        async with committee(by_judge(policy)) as made:
            talks = [await Client(made).talk(seed=7) for _ in range(2)]
            assert talks[0] == talks[1]
            assert len(set(talks[0].split())) > 1
            assert await Client(made).talk(seed=8) != talks[0]

    asyncio.run(main())


def test_under_one_seed_conversations_do_not_draw_in_step() -> None:
    async def main() -> None:
        async with committee(by_judge(RandomPick())) as made:
            drawn = {await Client(made).ask(question, seed=7) for question in QUESTIONS}
            assert len(drawn) > 1

    asyncio.run(main())


# ---- scales -----------------------------------------------------------------------------------


def test_every_rule_signs_its_rankings() -> None:
    said = [Judgement("j", ("x", "y"), (2.0, 1.0))]
    for name, rule in RULES.items():
        assert rule(said, ["x", "y"]).rule == name


async def sums(rule: str, *rankings: Ranking) -> Mapping[str, float]:
    """What a conversation's sums are after these rankings, where the method's rule is `rule`."""
    store = MemoryStore()
    messages: tuple[Message, ...] = ()
    for number, ranking in enumerate(rankings):
        messages = (*messages, Message("user", str(number)))
        thread = KeptThread(store, Transcript(messages), rule=rule)
        at = await thread.plan(FullRanking(), ("a", "b", "c"), 2, random.Random(0))
        await thread.remember(at, str(number), Message("assistant", "x"), ranking)
        messages = (*messages, Message("assistant", "x"))
    last = await store.conversations.last(Transcript((*messages, Message("user", "?"))))
    assert last is not None
    [state] = last.state.values()
    found: Mapping[str, float] = state["tally"]["sums"]
    return found


def test_a_ranking_by_another_rule_than_the_methods_own_counts_by_its_places() -> None:
    borda = Ranking(("a", "b", "c"), {"a": 1.0, "b": 0.5, "c": 0.0}, "normalised_borda")
    weak = Ranking(("c", "a"), {"c": -0.4, "a": -7.5}, "mean")
    tied = Ranking(("b", "c"), {"b": -1.0, "c": -1.0}, "mean", ties=(("b", "c"),))
    silent = Ranking(("a", "c", "b"), {"a": -0.3, "c": -0.9, "b": None}, "mean")
    assert asyncio.run(sums("normalised_borda", borda, weak)) == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert asyncio.run(sums("normalised_borda", tied)) == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert asyncio.run(sums("normalised_borda", silent)) == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert asyncio.run(sums("mean", weak)) == {"a": -7.5, "b": -3.95, "c": -0.4}


def test_peers_of_whom_two_are_left_on_a_turn_add_no_log_probabilities_to_the_points() -> None:
    async def main() -> str:
        # On question 2 c and e alone answer, and are ranked by log-probabilities of -20 and -40 a token.
        away = failing("a", "b", "d", at=lambda question: question == "question 2")
        unsure = [replace(m, likelihoods={text: 10 * p for text, p in (m.likelihoods or {}).items()}) for m in away]
        async with Committee(unsure, {"default": by_peers(DynamicElimination())}) as made:
            client = Client(made, Place(turns=10))
            await client.ask("question 1")
            sent = (*client.messages, Message("user", "question 2"))
            answer = await made.aask(sent, conversation=client.place)
            assert answer.ranking is not None
            assert answer.ranking.rule == "mean"
            client.messages = (*sent, Message("assistant", answer.text))
            return await client.talk(QUESTIONS[2:6])

    # By places a has 3.25, b 3.75, c 1.5, d 3.5, e 0.5; added as they were given, -20 would put c before everybody.
    assert asyncio.run(main()) == "abcde>2 abcde>2 abcde>2 abd>2"


def test_a_ranking_of_others_than_were_to_write_is_none() -> None:
    ranking = Ranking(("c1", "c2"), {"c1": 1.0, "c2": 0.0}, "mean")
    offered = [Candidate("c1", "a", "x"), Candidate("c2", "b", "y")]
    assert ranking_of_members(None, offered, Plan.ranked("ab", 1)) is None
    assert ranking_of_members(ranking, offered[:1], Plan.ranked("ab", 1)) is None
    assert ranking_of_members(ranking, offered, Plan.ranked("ac", 1)) is None
    found = ranking_of_members(ranking, offered, Plan.ranked("abc", 1))
    assert found is not None
    assert found.order == ("a", "b")


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conversation", "what"),
    [
        ("", "a conversation's id cannot be ''"),
        ("x" * 201, "a conversation's id may have 200 characters"),
        (Place(scope="a\0b"), "a conversation's scope cannot be"),
        (Place(turns=0), "at least 1 turn, not 0"),
    ],
)
@pytest.mark.parametrize("policy", [FullRanking(), AlternateRanking()])
def test_a_place_that_is_none_is_refused_whatever_is_asked(
    conversation: str | Place, what: str, policy: Policy
) -> None:
    with committee(by_judge(policy)) as made, pytest.raises(ConfigError, match=what):
        made.ask("question 1", conversation=conversation)


@pytest.mark.parametrize("kind", [PeerBlend, RankAndFuse])
def test_a_member_named_twice_is_refused_where_a_policy_decides(kind: Any) -> None:
    with pytest.raises(ConfigError, match="a policy takes each member once"):
        committee(kind(("a", "b", "a")))
