"""Ranking given texts: any judge, one run and trace each, no text written, weights opened once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from typing import ClassVar

import pytest

from coterie import (
    Agreement,
    BestOf,
    Committee,
    ConfigError,
    Length,
    Limits,
    PeerReview,
    Price,
    RankAndFuse,
    Reply,
    ScriptedMember,
    Trace,
    Vote,
    replay,
)
from coterie.judges.pair_ranker import PairRanker
from coterie.protocols import Run
from coterie.ranked import Offered
from coterie.replays import RANK_GIVEN
from coterie.trace import AnswerGiven, CandidateOffered, RunFinished
from coterie.types import Candidate, Failure, FailureKind, Judgement, Message, Request

QUESTION = "What is the capital of France?"
TEXTS = ("Paris", "Lyon, perhaps", "Rome")


@contextmanager
def nobody() -> Iterator[Committee]:
    """A committee without members, which is enough for a judge that asks none."""
    with Committee((), {}) as committee:
        yield committee


@dataclass(frozen=True)
class Pointwise:
    """A judgement about each candidate alone: its length."""

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        return [Judgement("pointwise", (c.id,), (float(len(c.text)),)) for c in candidates]


@dataclass(frozen=True)
class Scales:
    """Something expensive, which counts how often it was opened and what it has weighed."""

    opened: ClassVar[list[str]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[list[str]]:
        self.opened.append("opened")
        yield self.opened
        self.opened.append("closed")


@dataclass(frozen=True)
class Weighing:
    """Longer is better, found out slowly on scales."""

    takes_s: float = 0.0

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        await run.open(Scales())
        done = await run.work("scales", asyncio.sleep(self.takes_s), stage="rank", needs=[c.id for c in candidates])
        if isinstance(done, Failure):
            return [Judgement.abstain("scales", done.error)]
        ids, weights = tuple(c.id for c in candidates), tuple(float(len(c.text)) for c in candidates)
        return [Judgement("scales", ids, weights, calls=(done[0],))]


@pytest.fixture(autouse=True)
def _fresh_scales() -> None:
    Scales.opened.clear()


# ---- what comes back --------------------------------------------------------------------------


def test_the_ranking_speaks_of_the_texts_as_they_were_given() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=Length(), rule="mean")
    assert [c.text for c in ranked.candidates] == list(TEXTS)
    assert ranked.scores == (5.0, 13.0, 4.0)
    assert ranked.ranks == (2, 1, 3)
    assert ranked.texts == ("Lyon, perhaps", "Paris", "Rome")
    assert str(ranked) == ranked.best.text == "Lyon, perhaps"
    assert [j.judge for j in ranked.judgements] == ["length"]
    assert (ranked.usage.calls, ranked.usage.cost_usd, ranked.failures, ranked.partial) == (0, 0.0, (), False)


def test_its_trace_is_a_whole_run() -> None:
    traces: list[Trace] = []
    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=Weighing(), seed=7, on_trace=traces.append)
    [trace] = traces
    assert trace == ranked.trace
    assert (trace.started.run, trace.started.seed, trace.started.method) == (ranked.id, 7, "rank")
    assert trace.started.spec["judge"] == {"kind": "test_committee_rank:Weighing", "takes_s": 0.0}
    assert trace.started.spec["rule"] == "max_logits"
    assert [event.candidate for event in trace.of(CandidateOffered)] == list(ranked.candidates)
    assert [event.candidate for event in trace.of(AnswerGiven)] == [ranked.ranking.best]
    assert [event.status for event in trace.of(RunFinished)] == ["answered"]
    assert trace.critical_path.calls == ("w1",)
    assert Trace.parse(list(trace.lines())) == trace


@pytest.mark.parametrize(
    ("offered", "authors"),
    [
        (["x", "y"], ["", ""]),
        ({"ann": "x", "bob": "y"}, ["ann", "bob"]),
        ([("ann", "x"), "y"], ["ann", ""]),
        ([Candidate("c9", "ann", "x", parents=("c1",), call="k3"), "y"], ["ann", ""]),
        (("x", "y"), ["", ""]),
    ],
)
def test_texts_come_alone_or_with_their_authors(offered: Offered, authors: list[str]) -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, offered, judge=Length())
    assert [(c.id, c.author, c.text) for c in ranked.candidates] == [("c1", authors[0], "x"), ("c2", authors[1], "y")]
    assert all((c.parents, c.call) == ((), "") for c in ranked.candidates)


def test_the_candidates_of_an_answer_can_be_ranked_again() -> None:
    members = [ScriptedMember("a", ("Yes.",)), ScriptedMember("b", ("Yes, I think so.",))]
    with Committee(members, {"default": Vote(("a", "b"))}) as committee:
        answer = committee.ask(QUESTION)
        ranked = committee.rank(QUESTION, answer.candidates, judge=Length())
    assert (ranked.best.author, ranked.best.text) == ("b", "Yes, I think so.")


@pytest.mark.parametrize(
    "question",
    [QUESTION, [Message("system", "Be brief."), Message("user", QUESTION)], Request.of(QUESTION), "", []],
    ids=["text", "messages", "request", "empty", "nothing"],
)
def test_the_question_has_any_shape(question: str | list[Message] | Request) -> None:
    with nobody() as committee:
        assert committee.rank(question, TEXTS, judge=Length()).ranks == (2, 1, 3)


# ---- edges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("none", [[], {}, ()])
def test_no_candidate_is_refused(none: Offered) -> None:
    with nobody() as committee, pytest.raises(ConfigError, match="no candidate to rank: give at least one text"):
        committee.rank(QUESTION, none, judge=Length())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("Paris", "give a list"),
        (["Paris", 3], "candidate 1 is neither"),
        ([("a", "b", "c")], "candidate 0 is neither"),
        ([None], "candidate 0 is neither"),
    ],
)
def test_what_is_no_text_is_refused(wrong: Offered, said: str) -> None:
    with nobody() as committee, pytest.raises(ConfigError, match=said):
        committee.rank(QUESTION, wrong, judge=Length())


def test_an_unknown_rule_and_an_unknown_reviewer_are_refused_before_anything_is_opened() -> None:
    with nobody() as committee:
        with pytest.raises(ConfigError, match="no ranking rule 'best'"):
            committee.rank(QUESTION, TEXTS, judge=Weighing(), rule="best")
        with pytest.raises(ConfigError, match="'rank' asks \\['zoe'\\]"):
            committee.rank(QUESTION, TEXTS, judge=PeerReview(reviewers=("zoe",)))
    assert Scales.opened == []


def test_a_method_of_the_same_name_is_another_one() -> None:
    kinds: list[object] = []
    best = BestOf(("ann",), Length())
    with Committee([ScriptedMember("ann", ("Paris",))], {"rank": best}) as committee:
        for _ in range(2):
            committee.ask(QUESTION, "rank", on_trace=lambda trace: kinds.append(trace.started.spec["kind"]))
            committee.rank(QUESTION, TEXTS, judge=Length(), on_trace=lambda t: kinds.append(t.started.spec["kind"]))
    assert kinds == ["best_of", RANK_GIVEN] * 2


def test_one_candidate_is_the_best() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, ["alone"], judge=Length())
        pointwise = committee.rank(QUESTION, ["alone"], judge=Pointwise())
    assert (ranked.texts, ranked.ranks) == (("alone",), (1,))
    assert (pointwise.scores, pointwise.notes) == ((5.0,), ())


def test_equal_and_empty_texts_are_candidates_too() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, ["", "same", "same", "  "], judge=Length(), rule="mean")
    assert ranked.ranks == (4, 1, 1, 3)
    assert ranked.ranking.ties == (("c2", "c3"),)
    assert ranked.texts == ("same", "same", "  ", "")


def test_odd_texts_are_left_as_they_are() -> None:
    odd = ["日本語 🎉", "\x00\u2028", "half \ud800", "{}%s"]
    with nobody() as committee:
        ranked = committee.rank(QUESTION, odd, judge=Agreement(), rule="mean")
    assert [c.text for c in ranked.candidates] == odd
    assert Trace.parse(list(ranked.trace.lines())).of(CandidateOffered)


def test_judgements_about_one_candidate_each_are_ranked_by_their_mean_and_said_so() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=Pointwise())
        asked_for = committee.rank(QUESTION, TEXTS, judge=Pointwise(), rule="mean")
    assert ranked.ranking.rule == asked_for.ranking.rule == "mean"
    assert ranked.ranks == asked_for.ranks == (2, 1, 3)
    assert ["mean scores decide" in note for note in ranked.notes] == [True]
    assert asked_for.notes == ()


# ---- members who review -----------------------------------------------------------------------


def reviewer(name: str) -> ScriptedMember:
    """A member that holds a text for the more likely, the longer it is."""
    likely = {text: -1.0 / len(text) for text in (*TEXTS, "x", "yy", "zzz")}
    return ScriptedMember(name, ("",), likelihoods=likely, price=Price(1.0, 1.0))


def test_peer_review_asks_the_reviewers_it_names_and_is_billed() -> None:
    members = [reviewer("ann"), reviewer("bob"), reviewer("idle")]
    with Committee(members, {}) as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=PeerReview(reviewers=("ann", "bob")), rule="normalised_borda")
    assert [(j.judge, len(j.about)) for j in ranked.judgements] == [("ann", 3), ("bob", 3)]
    assert ranked.ranks == (2, 1, 3)
    assert ranked.usage.calls == 2
    assert ranked.trace.bill.known_usd > 0
    assert set(ranked.trace.bill.members) == {"ann", "bob"}
    assert [card.name for card in ranked.trace.started.cards] == ["ann", "bob"]


def test_peer_review_without_names_asks_the_authors_who_are_members() -> None:
    members = [reviewer("ann"), reviewer("bob")]
    with Committee(members, {}) as committee:
        ranked = committee.rank(
            QUESTION, [("ann", "x"), ("bob", "yy"), ("eve", "zzz")], judge=PeerReview(), rule="normalised_borda"
        )
    spoke = {j.judge: set(j.about) for j in ranked.judgements}
    assert spoke == {"ann": {"c2", "c3"}, "bob": {"c1", "c3"}, "eve": set()}


def test_a_judge_that_asks_nobody_opens_no_member() -> None:
    with Committee([reviewer("ann")], {}) as committee:
        ranked = committee.rank(QUESTION, {"ann": "x", "bob": "y"}, judge=Length())
    assert ranked.trace.started.cards == ()


def test_a_reviewer_that_fails_is_a_failure_beside_the_ranking() -> None:
    away = ScriptedMember("bob", (Reply(fail=FailureKind.HTTP, error="503"),))
    members = [reviewer("ann"), away]
    with Committee(members, {}) as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=PeerReview(reviewers=("ann", "bob")), rule="mean")
    assert [(f.member, f.error) for f in ranked.failures] == [("bob", "503")]
    assert [bool(j.abstained) for j in ranked.judgements] == [False, True]


def test_when_every_ballot_abstains_the_given_order_stands_and_is_said_to() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=PeerReview())
    assert (ranked.texts, ranked.ranks, ranked.scores) == (TEXTS, (1, 1, 1), (None, None, None))
    assert any("every ballot abstained" in note for note in ranked.notes)


# ---- where it happens -------------------------------------------------------------------------


def test_what_is_expensive_is_opened_once_for_all_and_closed_with_the_committee() -> None:
    with nobody() as committee:
        for _ in range(3):
            committee.rank(QUESTION, TEXTS, judge=Weighing())
        assert asyncio.run(committee.arank(QUESTION, TEXTS, judge=Weighing(0.001))).ranks == (2, 1, 3)
        assert Scales.opened == ["opened"]
    assert Scales.opened == ["opened", "closed"]


def test_what_a_judge_says_it_opens_is_open_before_the_clock_runs() -> None:
    @dataclass(frozen=True)
    class Slow(Scales):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[list[str]]:
            await asyncio.sleep(0.3)
            yield self.opened

    class Ahead(Weighing):
        opens = (Slow(),)

    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=Ahead(), limits=Limits(deadline_s=0.2))
    assert (ranked.ranks, ranked.partial) == ((2, 1, 3), False)


def test_many_at_once_on_ones_own_loop() -> None:
    async def main() -> list[tuple[int, ...]]:
        async with Committee((), {}) as committee:
            asked = [committee.arank(QUESTION, order, judge=Weighing(0.05)) for order in permutations(TEXTS)]
            ranked = await asyncio.gather(*asked)
            with pytest.raises(ConfigError, match="arank"):
                committee.rank(QUESTION, TEXTS, judge=Length())
            assert max(r.trace.wall_s for r in ranked) < 0.05 * len(ranked)
            return [r.ranks for r in ranked]

    by_text = {"Paris": 2, "Lyon, perhaps": 1, "Rome": 3}
    assert asyncio.run(main()) == [tuple(by_text[text] for text in order) for order in permutations(TEXTS)]
    assert Scales.opened == ["opened", "closed"]


def test_the_deadline_holds_and_makes_the_ranking_partial() -> None:
    with nobody() as committee:
        ranked = committee.rank(QUESTION, TEXTS, judge=Weighing(60), limits=Limits(deadline_s=0.1))
    assert ranked.partial
    assert [f.kind for f in ranked.failures] == [FailureKind.DEADLINE]
    assert ranked.scores == (None, None, None)
    assert ranked.trace.wall_s < 5


def test_cancelling_it_cancels_what_it_waits_for() -> None:
    traces: list[Trace] = []

    async def main() -> None:
        async with Committee((), {}) as committee:
            asked = asyncio.ensure_future(committee.arank(QUESTION, TEXTS, judge=Weighing(60), on_trace=traces.append))
            await asyncio.sleep(0.05)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

    asyncio.run(main())
    assert [event.status for trace in traces for event in trace.of(RunFinished)] == ["cancelled"]


def test_a_seed_repeats_what_is_drawn() -> None:
    members = [reviewer("ann")]
    judge = PeerReview(reviewers=("ann",))
    with Committee(members, {}) as committee:
        drawn = [committee.rank(QUESTION, TEXTS, judge=judge, seed=seed).judgements for seed in (3, 3, *range(8))]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


@dataclass(frozen=True)
class Broken:
    """A judge with a defect."""

    error: type[Exception] = field(default=ZeroDivisionError)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        raise self.error("broken")


def test_a_judges_defect_is_raised_and_stands_in_the_trace() -> None:
    traces: list[Trace] = []
    with nobody() as committee, pytest.raises(ZeroDivisionError):
        committee.rank(QUESTION, TEXTS, judge=Broken(), on_trace=traces.append)
    assert [(e.status, e.error) for t in traces for e in t.of(RunFinished)] == [("error", "ZeroDivisionError: broken")]


def test_a_ranking_is_replayed_out_of_its_trace_under_another_rule_or_judge_too() -> None:
    with Committee((), {}) as committee:
        ranked = committee.rank(
            "Which?", {"a": "short", "b": "rather longer", "c": "long"}, judge=Length(), rule="mean"
        )
    again = replay(ranked.trace)
    assert again.text == ranked.best.text == "rather longer"
    assert replay(ranked.trace, {"judge": {"kind": "agreement"}}).ranking is not None
    with pytest.raises(ConfigError, match="top_k"):
        replay(ranked.trace, {"top_k": 2})


def test_a_rule_that_would_misread_a_judge_is_refused_by_every_method() -> None:
    judge = PairRanker("anywhere", tournament="bubble")
    for method in (BestOf, RankAndFuse):
        with pytest.raises(ConfigError, match="unbeaten"):
            method(("a", "b"), judge=judge, rule="mean")
        assert method(("a", "b"), judge=judge, rule="unbeaten")
