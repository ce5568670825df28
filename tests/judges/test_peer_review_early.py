"""Reviews that begin before every answer is there: who starts before what, who is not waited for, who stands in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from coterie import Limits, NoAnswer, PeerReview, Reply, Request, ScriptedMember
from coterie.judges.peer_review.reviewing import IDLE
from coterie.members.scripted import ScriptedModel
from coterie.run import LiveRun, Seat
from coterie.trace import CallFailed, CallFinished, CallStarted, CandidateOffered, Trace
from coterie.types import BallotMode, Candidate, FailureKind, Judgement
from review_prompts import Fenced, honest

QUESTION = Request.of("What is the capital of France?")
UNLIMITED = Limits()
HTTP_500 = Reply(fail=FailureKind.HTTP, error="HTTP 500")
BY_LENGTH = honest(lambda text: min(5, len(text)))


def member(name: str, answer: Reply | str, review: Reply | str | None = None, **how: object) -> ScriptedMember:
    """One that answers so, and reviews so (honestly, by length, where left out)."""

    def script(request: Request, number: int) -> Reply | str:
        prompt = request.messages[-1].text
        if not prompt.startswith("You are reviewing"):
            return answer
        return BY_LENGTH(prompt) if review is None else review

    return replace(ScriptedMember(name, script=script), **how)  # type: ignore[arg-type]


def after(latency_s: float, text: str) -> Reply:
    return Reply(text, latency_s=latency_s)


@dataclass
class Sat:
    """What came of members writing and reviewing each other."""

    run: LiveRun
    judgements: list[Judgement] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    active: int = 0

    @property
    def trace(self) -> Trace:
        return self.run.ledger.trace

    @property
    def authors(self) -> Mapping[str, str]:
        return {event.candidate.id: event.candidate.author for event in self.trace.of(CandidateOffered)}

    def reviews(self) -> list[tuple[str, tuple[str, ...]]]:
        """Reviewer and the authors of what it was shown, in the order in which they were asked."""
        asked = (event for event in self.trace.of(CallStarted) if event.stage == "review")
        return [(event.member, tuple(self._others(event))) for event in asked]

    def _others(self, event: CallStarted) -> Iterator[str]:
        return (author for id_ in event.needs if (author := self.authors[id_]) != event.member)

    def heard(self) -> Counter[str]:
        """By author, how many ballots speak of its answer."""
        return Counter(self.authors[id_] for judgement in self.judgements for id_ in judgement.about)

    def failures(self) -> dict[str, FailureKind]:
        return {failure.member: failure.kind for failure in self.run.ledger.failures}

    def place(self, what: type, member: str, stage: str = "") -> int:
        """Where in the trace an event of that kind first speaks of `member`."""
        for n, event in enumerate(self.trace.events):
            if isinstance(event, what) and member == _member(event) and stage in ("", getattr(event, "stage", "")):
                return n
        raise AssertionError((what, member))


def _member(event: object) -> str:
    match event:
        case CallStarted():
            return event.member
        case CandidateOffered():
            return event.candidate.author
        case CallFinished():
            return event.completion.member
        case _:
            return ""


def sat(
    judge: PeerReview,
    *members: ScriptedMember,
    writers: Sequence[str] | None = None,
    limits: Limits = UNLIMITED,
    seed: int = 0,
) -> Sat:
    async def work() -> Sat:
        models = {spec.name: ScriptedModel(spec) for spec in members}
        seats = {spec.name: Seat(spec.card, models[spec.name], timeout_s=spec.timeout_s) for spec in members}
        found = Sat(LiveRun(QUESTION, seats, limits, seed=seed))
        names = [spec.name for spec in members] if writers is None else writers
        found.candidates, found.judgements = await found.run.judged(names, QUESTION, judge)
        found.active = sum(model.active for model in models.values())
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    return asyncio.run(work())


POINTWISE = PeerReview(ballot=BallotMode.POINTWISE)
BY_CALL = [BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB]


# ---- who starts before what -------------------------------------------------------------------


@pytest.mark.parametrize("mode", BY_CALL)
def test_an_answer_is_reviewed_by_itself_as_soon_as_it_is_there(mode: BallotMode) -> None:
    seen = sat(
        PeerReview(ballot=mode),
        member("ann", "a"),
        member("bob", after(0.05, "bb")),
        member("cat", after(0.15, "ccc")),
    )
    early, late = seen.reviews()[:2], seen.reviews()[2:]
    assert sorted(early) == [("ann", ("bob",)), ("bob", ("ann",))]
    assert sorted(late) == [("ann", ("cat",)), ("bob", ("cat",)), ("cat", ("ann",)), ("cat", ("bob",))]
    begun = [n for n, e in enumerate(seen.trace.events) if isinstance(e, CallStarted) and e.stage == "review"]
    assert seen.place(CandidateOffered, "bob") < begun[0] < begun[1] < seen.place(CandidateOffered, "cat") < begun[2]
    assert seen.heard() == {"ann": 2, "bob": 2, "cat": 2}


def test_who_was_not_to_write_reviews_the_first_answer_at_once() -> None:
    seen = sat(
        PeerReview(("dan",), ballot=BallotMode.POINTWISE),
        member("ann", "a"),
        member("bob", after(0.1, "bb")),
        member("dan", "never said"),
        writers=("ann", "bob"),
    )
    assert seen.reviews() == [("dan", ("ann",)), ("dan", ("bob",))]
    assert seen.place(CallStarted, "dan", "review") < seen.place(CandidateOffered, "bob")


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.LIKELIHOOD])
def test_a_reviewer_of_several_answers_waits_for_them_and_for_its_own(mode: BallotMode) -> None:
    likelihoods = {"a": -1.0, "bb": -2.0, "ccc": -3.0}
    seen = sat(
        PeerReview(ballot=mode),
        member("ann", "a", likelihoods=likelihoods),
        member("bob", "bb", likelihoods=likelihoods),
        member("cat", after(0.1, "ccc"), likelihoods=likelihoods),
    )
    names = ("ann", "bob", "cat")
    assert min(seen.place(CallStarted, name, "review") for name in names) > seen.place(CandidateOffered, "cat")
    assert seen.heard() == {"ann": 2, "bob": 2, "cat": 2}


def test_a_reviewer_of_few_answers_waits_for_these_few_alone() -> None:
    names = [f"m{n}" for n in range(8)]
    slow = member("m7", after(0.1, "slow"))
    seen = sat(PeerReview(reviewers_each=2), *(member(name, name) for name in names[:7]), slow, seed=3)
    early, late = seen.reviews()[:-3], seen.reviews()[-3:]
    assert len(early) == 5
    assert all("m7" not in (reviewer, *shown) for reviewer, shown in early)
    assert all("m7" in (reviewer, *shown) for reviewer, shown in late)
    events = list(seen.trace.events)
    begun = [n for n, event in enumerate(events) if isinstance(event, CallStarted) and event.stage == "review"]
    assert begun[4] < seen.place(CandidateOffered, "m7") < begun[5]


def test_the_critical_path_is_the_slowest_answer_and_its_review_and_not_all_reviews() -> None:
    def timed(name: str, writes_s: float) -> ScriptedMember:
        def script(request: Request, number: int) -> Reply:
            prompt = request.messages[-1].text
            if prompt.startswith("You are reviewing"):
                return Reply(Fenced(prompt).ballot(len), latency_s=0.05)
            return after(writes_s, name)

        return ScriptedMember(name, script=script)

    seen = sat(POINTWISE, timed("a", 0.0), timed("b", 0.05), timed("c", 0.1), timed("d", 0.15))
    assert len(seen.reviews()) == 12
    path = [seen.trace.calls[call] for call in seen.trace.critical_path.calls]
    assert [call.stage for call in path] == ["generate", "review"]
    assert path[0].member == "d"
    assert 0.2 <= seen.trace.wall_s < 0.5  # one after another, the reviews alone would take 0.6 s


# ---- members that do not write ----------------------------------------------------------------


def test_a_member_that_fails_to_write_has_no_vote_and_is_not_asked_for_one() -> None:
    failing = Reply(latency_s=0.08, fail=FailureKind.HTTP, error="HTTP 500")
    seen = sat(POINTWISE, member("ann", "a"), member("bob", "bb"), member("cat", "ccc"), member("dan", failing))
    assert [judgement.judge for judgement in seen.judgements] == ["ann", "bob", "cat"]
    assert seen.heard() == {"ann": 2, "bob": 2, "cat": 2}
    assert seen.failures() == {"dan": FailureKind.HTTP}
    assert "dan" not in {reviewer for reviewer, _ in seen.reviews()}
    assert seen.trace.wall_s < 1
    assert seen.active == 0


def test_a_named_reviewer_whose_own_answer_did_not_come_abstains() -> None:
    seen = sat(
        PeerReview(("ann", "cat", "dan")),
        member("ann", "a"),
        member("bob", "bb"),
        member("cat", HTTP_500),
        member("dan", "never said"),
        writers=("ann", "bob", "cat"),
    )
    assert [(j.judge, j.abstained) for j in seen.judgements] == [
        ("ann", ""),
        ("cat", "its own answer did not come"),
        ("dan", ""),
    ]
    assert seen.heard() == {"ann": 1, "bob": 2}


def test_nobody_reviews_an_answer_that_does_not_come() -> None:
    seen = sat(POINTWISE, member("ann", "a"), member("bob", "bb"), member("cat", HTTP_500))
    assert sorted(seen.reviews()) == [("ann", ("bob",)), ("bob", ("ann",))]
    assert seen.failures() == {"cat": FailureKind.HTTP}


@pytest.mark.parametrize("mode", [BallotMode.TEXT, *BY_CALL])
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_every_answer_has_its_reviewers_whoever_fails_to_write(mode: BallotMode, failing: int) -> None:
    names = [f"m{n}" for n in range(8)]
    for seed in range(3):
        members = [
            member(n, Reply(fail=FailureKind.HTTP, latency_s=0.01) if n in names[:failing] else n) for n in names
        ]
        seen = sat(PeerReview(reviewers_each=3, ballot=mode), *members, seed=seed)
        assert seen.heard() == dict.fromkeys(names[failing:], 3)
        assert {len(judgement.about) for judgement in seen.judgements} == {3}


def test_reviews_of_the_only_answer_are_cut_and_are_no_failures() -> None:
    seen = sat(
        PeerReview(("dan",), ballot=BallotMode.POINTWISE),
        member("ann", "a"),
        member("bob", Reply(fail=FailureKind.HTTP, latency_s=0.03)),
        member("dan", "never said", Reply(hang=True)),
        writers=("ann", "bob"),
    )
    assert ([c.author for c in seen.candidates], seen.judgements) == (["ann"], [])
    assert seen.failures() == {"bob": FailureKind.HTTP}
    assert seen.reviews() == [("dan", ("ann",))]
    kinds = {event.failure.member: event.failure.kind for event in seen.trace.of(CallFailed)}
    assert kinds == {"bob": FailureKind.HTTP, "dan": FailureKind.CUT}
    assert seen.active == 0


def test_where_nobody_writes_nobody_reviews() -> None:
    with pytest.raises(NoAnswer):
        sat(POINTWISE, member("ann", HTTP_500), member("bob", HTTP_500))


# ---- hanging members and the quorum -----------------------------------------------------------


@pytest.mark.parametrize("mode", [BallotMode.TEXT, *BY_CALL])
def test_a_hanging_writer_is_cut_by_the_quorum_and_the_early_reviews_count(mode: BallotMode) -> None:
    seen = sat(
        PeerReview(ballot=mode),
        member("ann", "a"),
        member("bob", "bb"),
        member("cat", Reply("half", hang=True)),
        limits=Limits(quorum=2, grace_s=0.05),
    )
    assert seen.heard() == {"ann": 1, "bob": 1}
    assert [judgement.judge for judgement in seen.judgements] == ["ann", "bob"]
    assert seen.failures() == {"cat": FailureKind.CUT}
    assert seen.active == 0
    assert seen.trace.wall_s < 1


@pytest.mark.parametrize("mode", [BallotMode.TEXT, *BY_CALL])
def test_a_hanging_reviewer_is_cut_by_the_quorum_and_is_no_failure(mode: BallotMode) -> None:
    seen = sat(
        PeerReview(ballot=mode),
        member("ann", "a"),
        member("bob", "bb"),
        member("cat", "ccc", Reply(hang=True)),
        limits=Limits(quorum=2, grace_s=0.03),
    )
    assert [(j.judge, len(j.about), j.abstained) for j in seen.judgements] == [
        ("ann", 2, ""),
        ("bob", 2, ""),
        ("cat", 0, "cut: enough others had answered and the grace time was over"),
    ]
    assert seen.failures() == {}
    assert seen.active == 0


def test_a_committee_of_two_reviews_each_other() -> None:
    for mode in (BallotMode.TEXT, *BY_CALL):
        for each in (None, 1, 2):
            seen = sat(PeerReview(ballot=mode, reviewers_each=each), member("ann", "a"), member("bob", "bb"))
            assert seen.heard() == {"ann": 1, "bob": 1}
            assert sorted(seen.reviews()) == [("ann", ("bob",)), ("bob", ("ann",))]


def test_two_answers_by_one_author_are_both_reviewed_by_the_others() -> None:
    for mode in (BallotMode.TEXT, BallotMode.POINTWISE):
        seen = sat(PeerReview(ballot=mode), member("ann", "a"), member("bob", "bb"), writers=("ann", "ann", "bob"))
        assert seen.heard() == {"ann": 2, "bob": 1}
        by_judge = {j.judge: sorted(seen.authors[id_] for id_ in j.about) for j in seen.judgements}
        assert by_judge == {"ann": ["bob"], "bob": ["ann", "ann"]}


def test_an_author_with_one_answer_of_two_has_a_vote() -> None:
    calls = iter([HTTP_500, Reply("a"), Reply("bb")])

    def script(request: Request, number: int) -> Reply | str:
        prompt = request.messages[-1].text
        return BY_LENGTH(prompt) if prompt.startswith("You are reviewing") else next(calls)

    members = [ScriptedMember(name, script=script) for name in ("ann", "bob")]
    seen = sat(PeerReview(("ann", "bob")), *members, writers=("ann", "ann", "bob"))
    # ann failed once, so the run asks it no further; but it was to vote.
    assert [(j.judge, j.abstained) for j in seen.judgements] == [
        ("ann", "its review failed: not asked again after: HTTP 500"),
        ("bob", ""),
    ]


# ---- who stands in ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE])
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (HTTP_500, "its review failed: HTTP 500"),
        ("I like them all.", "no scores from 1 to 5 for"),
        (Reply(hang=True), "its review failed: no answer within timeout_s=0.1"),
    ],
    ids=["failing", "unreadable", "hanging"],
)
def test_where_few_review_each_answer_somebody_stands_in_for_a_reviewer_that_says_nothing(
    mode: BallotMode, bad: Reply | str, why: str
) -> None:
    names, timeout_s = [f"m{n}" for n in range(6)], 0.1 if isinstance(bad, Reply) and bad.hang else 60.0
    for seed in range(3):
        members = [member(n, n, bad if n == "m2" else None, timeout_s=timeout_s) for n in names]
        seen = sat(PeerReview(reviewers_each=2, ballot=mode), *members, seed=seed)
        assert seen.heard() == dict.fromkeys(names, 2)
        for name in names:
            by = [j.judge for j in seen.judgements for id_ in j.about if seen.authors[id_] == name]
            assert len(set(by)) == 2
            assert name not in by
        silent = [j for j in seen.judgements if not j.about]
        assert [j.judge for j in silent] == ["m2"]
        assert silent[0].abstained.startswith(why)
        [stand_in] = {j.judge for j in seen.judgements if sum(k.judge == j.judge for k in seen.judgements) == 2}
        assert stand_in != "m2"


def test_a_stand_ins_ballot_has_an_order_and_labels_of_its_own() -> None:
    names = [f"m{n}" for n in range(6)]
    members = [member(n, n, "?" if n == "m2" else None) for n in names]
    seen = sat(PeerReview(reviewers_each=2), *members)
    labels = [tuple(Fenced(_prompt(event)).answers) for event in seen.trace.of(CallStarted) if event.stage == "review"]
    assert len(labels) == len(set(labels)) == 7


def _prompt(event: CallStarted) -> str:
    assert event.request is not None
    return event.request.messages[-1].text


def test_a_stand_in_that_says_nothing_either_is_the_last() -> None:
    names = [f"m{n}" for n in range(6)]
    seen = sat(PeerReview(reviewers_each=2), *(member(n, n, "?") for n in names))
    assert seen.heard() == {}
    assert 6 < len(seen.judgements) <= 12
    assert len(seen.reviews()) == len(seen.judgements)


def test_where_everybody_reviews_everything_nobody_stands_in() -> None:
    names = [f"m{n}" for n in range(4)]
    seen = sat(PeerReview(), *(member(n, n, "?" if n == "m2" else None) for n in names))
    assert len(seen.reviews()) == len(seen.judgements) == 4
    assert seen.heard() == {"m0": 2, "m1": 2, "m2": 3, "m3": 2}


def test_nobody_stands_in_after_the_deadline() -> None:
    names = [f"m{n}" for n in range(6)]
    members = [member(n, n, Reply(hang=True)) for n in names]
    seen = sat(PeerReview(reviewers_each=2), *members, limits=Limits(deadline_s=0.15))
    assert len(seen.reviews()) == len(seen.judgements) == 6
    assert seen.heard() == {}


# ---- who is not asked at all ------------------------------------------------------------------


def test_whose_ballot_would_weigh_nothing_is_not_asked() -> None:
    seen = sat(PeerReview(weights={"ann": 0.0, "bob": 0.5}), *(member(n, n) for n in ("ann", "bob", "cat")))
    assert [(j.judge, j.weight, j.abstained) for j in seen.judgements] == [
        ("ann", 1.0, "its ballot would weigh nothing"),
        ("bob", 0.5, ""),
        ("cat", 1.0, ""),
    ]
    assert {reviewer for reviewer, _ in seen.reviews()} == {"bob", "cat"}


def test_what_those_who_cannot_review_would_have_reviewed_falls_to_the_others() -> None:
    names = [f"m{n}" for n in range(6)]
    seen = sat(PeerReview(reviewers_each=2, weights={"m0": 0.0, "m5": 0.0}), *(member(n, n) for n in names))
    assert seen.heard() == dict.fromkeys(names, 2)


def test_more_reviewers_than_are_needed_are_told_apart_from_those_that_fail() -> None:
    reviewers = tuple(f"r{n}" for n in range(9))
    members = [*(member(n, n) for n in ("ann", "bob", "cat")), *(member(n, n) for n in reviewers)]
    seen = sat(PeerReview(reviewers, reviewers_each=2), *members, writers=("ann", "bob", "cat"))
    assert seen.heard() == {"ann": 2, "bob": 2, "cat": 2}
    assert Counter(judgement.abstained for judgement in seen.judgements) == {"": 3, IDLE: 6}


# ---- cancellation -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE])
@pytest.mark.parametrize("steps", [*range(12), 20, 50])
def test_a_run_can_be_cancelled_at_any_moment(mode: BallotMode, steps: int) -> None:
    async def work() -> None:
        names = [f"m{n}" for n in range(4)]
        models = {n: ScriptedModel(member(n, n, Reply(hang=True))) for n in names}
        run = LiveRun(QUESTION, {n: Seat(m.card, m) for n, m in models.items()})
        task = asyncio.ensure_future(run.judged(names, QUESTION, PeerReview(ballot=mode, reviewers_each=2)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sum(model.active for model in models.values()) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(call.outcome is not None for call in run.ledger.trace.calls.values())
        assert {e.failure.kind for e in run.ledger.trace.of(CallFailed)} <= {FailureKind.CANCELLED}

    asyncio.run(work())
