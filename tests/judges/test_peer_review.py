"""Peer review through a real run: who sees what, what a ballot becomes, and what a candidate's text cannot do."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from coterie.judges.peer_review import PeerReview
from coterie.judges.peer_review.expected import expected_score
from coterie.judges.peer_review.likelihood import IMPOSSIBLE
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.protocols import Emit, Model
from coterie.quoting import CHARACTERS_A_TOKEN
from coterie.run import LiveRun, Seat
from coterie.trace import CallFailed, CallFinished, CallStarted
from coterie.types import (
    BallotMode,
    Candidate,
    Capability,
    Card,
    Completion,
    FailureKind,
    Judgement,
    Limits,
    Message,
    Request,
    Scores,
    TextScore,
    TokenLogprob,
    Usage,
)

UNLIMITED = Limits()
QUESTION = "What is the capital of France?"
CUT = "cut: enough others had answered and the grace time was over"


@dataclass(frozen=True)
class Prompt:
    """A review prompt as an honest reviewer reads it: by the fences of its first block, and nothing else."""

    text: str

    @property
    def mark(self) -> str:
        found = re.search(r"^<user-([0-9a-f]+)>$", self.text, re.MULTILINE)
        assert found
        return found[1]

    @property
    def answers(self) -> dict[str, str]:
        """Texts by label, in the order in which they are shown."""
        fence = re.compile(
            rf'^<answer-{self.mark}(?: id="(\w+)")?>\n(.*?)\n</answer-{self.mark}>$', re.DOTALL | re.MULTILINE
        )
        return dict(fence.findall(self.text))


Review = Callable[[Prompt], "Reply | str"]


def honest(score: Callable[[str], float]) -> Review:
    """A reviewer that scores every answer by a rule."""

    def review(prompt: Prompt) -> str:
        return json.dumps({"scores": {label: score(text) for label, text in prompt.answers.items()}, "reason": "so"})

    return review


def facts(text: str) -> float:
    """The rule of the honest reviewers here: a point for each fact, up to five."""
    return min(5, 1 + text.count("FACT"))


HONEST = honest(facts)


def member(name: str, text: str, review: Review = HONEST, **how: object) -> ScriptedMember:
    """One that answers `text`, and reviews as told."""

    def script(request: Request, number: int) -> Reply | str:
        said = request.messages[-1].text
        return review(Prompt(said)) if said.startswith("You are reviewing") else text

    return replace(ScriptedMember(name, script=script), **how)  # type: ignore[arg-type]


@dataclass
class Table:
    """A run of some members, and what happened at it."""

    models: Mapping[str, Model]
    limits: Limits = UNLIMITED
    seed: int = 0
    cards: Mapping[str, Card] = field(default_factory=dict)
    request: Request = field(default_factory=lambda: Request.of(QUESTION))

    def __post_init__(self) -> None:
        seats = {n: Seat(self.cards.get(n, m.card), m, timeout_s=5) for n, m in self.models.items()}
        self.run = LiveRun(self.request, seats, self.limits, seed=self.seed)
        self.candidates: list[Candidate] = []

    def judged(self, judge: PeerReview, authors: Sequence[str] | None = None) -> list[Judgement]:
        async def work() -> list[Judgement]:
            self.candidates = await self.run.generate(list(self.models) if authors is None else authors, self.request)
            return await self.run.judge(judge, self.request, self.candidates)

        return asyncio.run(work())

    def scores(self, judgement: Judgement) -> dict[str, float]:
        """Scores by author."""
        authors = {candidate.id: candidate.author for candidate in self.candidates}
        return {authors[id_]: score for id_, score in zip(judgement.about, judgement.scores, strict=True)}

    def reviews(self, name: str) -> list[Prompt]:
        """What a scripted member was asked beyond the question."""
        model = self.models[name]
        assert isinstance(model, ScriptedModel)
        return [Prompt(r.messages[-1].text) for r in model.requests if r.messages[-1].text != QUESTION]


def table(*members: ScriptedMember, limits: Limits = UNLIMITED, seed: int = 0) -> Table:
    return Table({spec.name: ScriptedModel(spec) for spec in members}, limits, seed)


ANN, BOB, CAT = member("ann", "no idea"), member("bob", "FACT FACT"), member("cat", "FACT FACT FACT")


# ---- who sees what ----------------------------------------------------------------------------


def test_every_member_scores_the_others_answers_and_never_its_own() -> None:
    sitting = table(ANN, BOB, CAT)
    ballots = sitting.judged(PeerReview())
    assert [ballot.judge for ballot in ballots] == ["ann", "bob", "cat"]
    assert [sitting.scores(ballot) for ballot in ballots] == [
        {"bob": 3.0, "cat": 4.0},
        {"ann": 1.0, "cat": 4.0},
        {"ann": 1.0, "bob": 3.0},
    ]
    for name, own in (("ann", "no idea"), ("bob", "FACT FACT"), ("cat", "FACT FACT FACT")):
        [prompt] = sitting.reviews(name)
        assert own not in prompt.answers.values()
        assert len(prompt.answers) == 2


def test_a_review_names_no_author() -> None:
    sitting = table(ANN, BOB, CAT)
    sitting.judged(PeerReview())
    for name in sitting.models:
        assert not re.search(r"\b(ann|bob|cat)\b", sitting.reviews(name)[0].text)


def test_a_member_with_two_answers_sees_neither() -> None:
    sitting = table(ANN, BOB)
    ballots = sitting.judged(PeerReview(), ["ann", "ann", "bob"])
    assert [ballot.judge for ballot in ballots] == ["ann", "bob"]
    assert list(sitting.reviews("ann")[0].answers.values()) == ["FACT FACT"]
    assert list(sitting.reviews("bob")[0].answers.values()) == ["no idea", "no idea"]


def test_one_model_under_two_names_reviews_itself_as_another() -> None:
    sitting = table(member("one", "FACT"), member("two", "FACT"))
    assert [sitting.scores(ballot) for ballot in sitting.judged(PeerReview())] == [{"two": 2.0}, {"one": 2.0}]


def test_reviewers_who_did_not_answer_see_everything() -> None:
    sitting = table(ANN, BOB, CAT)
    [ballot] = sitting.judged(PeerReview(reviewers=("cat",)), ["ann", "bob"])
    assert (ballot.judge, sitting.scores(ballot)) == ("cat", {"ann": 1.0, "bob": 3.0})


def test_every_reviewer_sees_its_own_order_and_its_own_labels() -> None:
    sitting = table(*(member(f"m{n}", f"answer {n}") for n in range(8)))
    sitting.judged(PeerReview())
    prompts = [sitting.reviews(name)[0] for name in sitting.models]
    orders = [[text for text in prompt.answers.values() if text not in ("answer 0", "answer 1")] for prompt in prompts]
    assert orders[0] != orders[1]
    assert len({tuple(prompt.answers) for prompt in prompts}) == 8
    label_of_last = {label for prompt in prompts for label, text in prompt.answers.items() if text == "answer 7"}
    assert len(label_of_last) > 3


def test_a_seed_repeats_the_order_and_the_labels() -> None:
    def shown(seed: int) -> list[dict[str, str]]:
        sitting = table(*(member(f"m{n}", f"answer {n}") for n in range(5)), seed=seed)
        sitting.judged(PeerReview())
        return [list(sitting.reviews(name)[0].answers.items()) for name in sitting.models]  # type: ignore[misc]

    assert shown(1) == shown(1)
    assert shown(1) != shown(2)


def test_every_place_is_equally_likely() -> None:
    places: Counter[str] = Counter()
    for seed in range(300):
        sitting = table(ANN, BOB, CAT, member("dan", "FACT"), seed=seed)
        sitting.judged(PeerReview(reviewers=("dan",)), ["ann", "bob", "cat"])
        places[next(iter(sitting.reviews("dan")[0].answers.values()))] += 1
    assert set(places) == {"no idea", "FACT FACT", "FACT FACT FACT"}
    assert all(75 < times < 125 for times in places.values())


def test_the_conversation_is_shown_whole_and_quoted() -> None:
    turns = (
        Message("system", "Be brief."),
        Message("user", "Capital?"),
        Message("assistant", "Of?"),
        Message("user", "France"),
    )
    sitting = Table({spec.name: ScriptedModel(spec) for spec in (ANN, BOB)}, request=Request(turns))

    async def work() -> None:
        sitting.candidates = [Candidate("c1", "ann", "Paris"), Candidate("c2", "bob", "Rome")]
        await sitting.run.judge(PeerReview(), sitting.request, sitting.candidates)

    asyncio.run(work())
    [prompt] = sitting.reviews("bob")
    m = re.search(r"<system-(\w+)>", prompt.text)
    assert m
    assert (
        f"<system-{m[1]}>\nBe brief.\n</system-{m[1]}>\n<user-{m[1]}>\nCapital?\n</user-{m[1]}>\n"
        f"<assistant-{m[1]}>\nOf?\n</assistant-{m[1]}>\n<user-{m[1]}>\nFrance\n</user-{m[1]}>\n"
    ) in prompt.text


# ---- written ballots --------------------------------------------------------------------------


def test_a_written_ballot_is_asked_for_without_chance_and_held_to_its_schema() -> None:
    sitting = table(ANN, BOB, CAT)
    sitting.judged(PeerReview(max_tokens=323), ["ann", "bob"])
    model = sitting.models["ann"]
    assert isinstance(model, ScriptedModel)
    asked = model.requests[-1]
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.prefix) == (0.0, 323, "")
    assert asked.schema is not None
    assert list(asked.schema["properties"]["scores"]["properties"]) == list(Prompt(asked.messages[0].text).answers)


def test_a_member_that_cannot_be_held_to_a_schema_is_asked_in_words_alone() -> None:
    model = ScriptedModel(BOB)
    bare = replace(model.card, capabilities=frozenset({Capability.REVIEW}))
    sitting = Table({"ann": ScriptedModel(ANN), "bob": model}, cards={"bob": bare})
    [_, ballot] = sitting.judged(PeerReview())
    assert sitting.scores(ballot) == {"ann": 1.0}
    assert model.requests[-1].schema is None
    [label] = Prompt(model.requests[-1].messages[0].text).answers
    assert f'{{"scores": {{"{label}": <1-5>}}, "reason": ' in model.requests[-1].messages[0].text


def test_a_ballots_reason_says_whose_label_is_whose() -> None:
    sitting = table(ANN, BOB)
    [first, _] = sitting.judged(PeerReview())
    [label] = sitting.reviews("ann")[0].answers
    assert first.reason == f"so ({label} is bob's)"


def test_a_ballot_rests_on_its_call() -> None:
    sitting = table(ANN, BOB)
    ballots = sitting.judged(PeerReview())
    calls = {e.call: e for e in sitting.run.ledger.trace.of(CallStarted) if e.stage == "review"}
    assert [len(ballot.calls) for ballot in ballots] == [1, 1]
    for ballot in ballots:
        assert calls[ballot.calls[0]].member == ballot.judge
        own = next(c.id for c in sitting.candidates if c.author == ballot.judge)
        assert calls[ballot.calls[0]].needs == (*ballot.about, own)


# ---- abstentions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("All of them are fine.", "no scores from 1 to 5 for the given labels in its text"),
        ('{"scores": {"nobody": 5}}', "no scores from 1 to 5 for the given labels in its text"),
        ("[" * 50_000, "no scores from 1 to 5 for the given labels in its text"),
    ],
)
def test_what_cannot_be_read_abstains(written: str, why: str) -> None:
    sitting = table(ANN, BOB, member("eve", "FACT", lambda _: written))
    *others, ballot = sitting.judged(PeerReview())
    assert ballot == Judgement.abstain("eve", why, ballot.calls)
    assert len(ballot.calls) == 1
    assert [sitting.scores(other) for other in others] == [{"bob": 3.0, "eve": 2.0}, {"ann": 1.0, "eve": 2.0}]


def test_what_is_scored_outside_the_scale_is_not_scored() -> None:
    sitting = table(ANN, BOB, member("eve", "FACT", honest(lambda text: 9 if "FACT" in text else 2)))
    *_, ballot = sitting.judged(PeerReview())
    assert sitting.scores(ballot) == {"ann": 2.0}


def test_a_reviewer_that_fails_abstains_and_takes_nobody_with_it() -> None:
    broken = member("eve", "FACT", lambda _: Reply("half a", pieces=3, fail=FailureKind.HTTP, error="HTTP 500"))
    sitting = table(broken, ANN, BOB)
    ballot, *others = sitting.judged(PeerReview())
    assert (ballot.about, ballot.abstained, len(ballot.calls)) == ((), "its review failed: HTTP 500", 1)
    assert [sitting.scores(other) for other in others] == [{"eve": 2.0, "bob": 3.0}, {"eve": 2.0, "ann": 1.0}]


def test_a_member_that_failed_to_answer_is_not_asked_to_review() -> None:
    broken = ScriptedMember("eve", (Reply(fail=FailureKind.HTTP, error="HTTP 500"), "never said"))
    sitting = table(broken, ANN, BOB)
    ballot, *_ = sitting.judged(PeerReview(reviewers=("eve", "ann", "bob")))
    assert ballot == Judgement.abstain("eve", "its review failed: not asked again after: HTTP 500")
    assert sitting.reviews("eve") == []


def test_members_that_cannot_review_abstain_without_a_call() -> None:
    mute = ScriptedModel(BOB)
    sitting = Table(
        {"ann": ScriptedModel(ANN), "bob": mute}, cards={"bob": replace(mute.card, capabilities=frozenset())}
    )
    ballots = sitting.judged(PeerReview(reviewers=("bob", "stranger")))
    assert ballots == [Judgement.abstain(name, "it cannot review") for name in ("bob", "stranger")]
    assert sitting.reviews("bob") == []


def test_an_author_alone_has_nothing_to_review() -> None:
    assert table(ANN).judged(PeerReview()) == [Judgement.abstain("ann", "there is no answer for it to review")]


def test_a_hanging_reviewer_is_cut_when_enough_have_voted() -> None:
    slow = member("eve", "FACT", lambda _: Reply(hang=True))
    sitting = table(slow, ANN, BOB, limits=Limits(quorum=2, grace_s=0.02))
    ballot, *others = sitting.judged(PeerReview())
    assert ballot == Judgement.abstain("eve", CUT)
    assert [len(other.about) for other in others] == [2, 2]
    assert sitting.run.ledger.failures == []
    [failed] = sitting.run.ledger.trace.of(CallFailed)
    assert (failed.failure.member, failed.failure.kind) == ("eve", FailureKind.CUT)


def test_the_deadline_ends_a_hanging_reviewer() -> None:
    slow = member("eve", "FACT", lambda _: Reply(hang=True))
    sitting = table(slow, ANN, limits=Limits(deadline_s=0.15))
    ballot, other = sitting.judged(PeerReview())
    assert ballot.abstained.startswith("its review failed: cut off after 0.1 s: the request's deadline")
    assert sitting.scores(other) == {"eve": 2.0}


# ---- score_logprob ----------------------------------------------------------------------------


def digits(**chances: float) -> tuple[TokenLogprob, ...]:
    """One position: tokens by probability, the first of them written."""
    top = tuple((token.replace("_", " ").replace("d", ""), math.log(chance)) for token, chance in chances.items())
    return (TokenLogprob(*top[0], top), TokenLogprob("5", 0.0, (("5", 0.0),)))


@pytest.mark.parametrize(
    ("logprobs", "score"),
    [
        (digits(d4=0.5, d5=0.25, d1=0.25), 4 * 0.5 + 5 * 0.25 + 1 * 0.25),
        (digits(d4=0.2, d2=0.2, The=0.6), 3.0),
        (digits(The=0.9, d5=0.06, d1=0.02), (5 * 0.06 + 1 * 0.02) / 0.08),
        (digits(d3=0.5, _d3=0.25, _d1=0.25), (3 * 0.75 + 1 * 0.25) / 1),
        ((TokenLogprob("2", -0.1),), 2.0),
        ((TokenLogprob("2", -0.1, (("5", -50.0),)),), 2.0),
        ((TokenLogprob("2", math.log(0.5), (("2", math.log(0.5)), ("4", math.log(0.5)))),), 3.0),
        ((TokenLogprob("4", 0.0, (("0", -1.0), ("6", -1.0), ("10", -1.0), ("4.", -1.0), ("٣", -1.0))),), 4.0),
        ((TokenLogprob("4", 1e-7),), 4.0),
        ((TokenLogprob("4", 1e9),), 4.0),
        ((TokenLogprob("4", math.inf),), 4.0),
        ((TokenLogprob("4", math.nan, (("2", -1.0),)),), 2.0),
    ],
)
def test_the_expected_score_is_by_the_probabilities_of_the_digits_alone(
    logprobs: tuple[TokenLogprob, ...], score: float
) -> None:
    assert expected_score(Completion("ann", "4", logprobs=logprobs)) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        (),
        digits(The=0.9, a=0.1),
        (TokenLogprob("The", -0.1), TokenLogprob("4", -0.1)),
        (TokenLogprob("4", -math.inf),),
        (TokenLogprob("4", math.nan),),
    ],
)
def test_without_a_digit_at_the_first_position_there_is_no_score(logprobs: tuple[TokenLogprob, ...] | None) -> None:
    assert expected_score(Completion("ann", "The answer is 4", logprobs=logprobs)) is None


def test_score_logprob_asks_once_a_candidate_for_one_token() -> None:
    def review(prompt: Prompt) -> Reply:
        [text] = prompt.answers.values()
        return Reply("4", logprobs=digits(d4=0.5, d5=0.5) if "FACT" in text else digits(d1=0.75, d5=0.25))

    sitting = table(ANN, BOB, member("eve", "FACT", review, ballot=BallotMode.SCORE_LOGPROB))
    *_, ballot = sitting.judged(PeerReview())
    assert sitting.scores(ballot) == pytest.approx({"ann": 2.0, "bob": 4.5})
    assert len(ballot.calls) == 2
    assert sorted(len(prompt.answers) for prompt in sitting.reviews("eve")) == [1, 1]
    model = sitting.models["eve"]
    assert isinstance(model, ScriptedModel)
    for asked in model.requests[1:]:
        assert (asked.sampling.max_tokens, asked.sampling.top_logprobs, asked.sampling.temperature) == (1, 20, 0.0)
        assert asked.schema is None


def test_score_logprob_scores_what_it_can() -> None:
    def review(prompt: Prompt) -> Reply:
        [text] = prompt.answers.values()
        return Reply("4", logprobs=digits(d4=1.0) if "FACT" in text else digits(Well=1.0))

    sitting = table(ANN, BOB, member("eve", "FACT", review, ballot=BallotMode.SCORE_LOGPROB))
    *_, ballot = sitting.judged(PeerReview())
    assert sitting.scores(ballot) == {"bob": 4.0}


def test_score_logprob_without_a_digit_abstains() -> None:
    sitting = table(ANN, BOB, member("eve", "x", lambda _: Reply("4", logprobs=None), ballot=BallotMode.SCORE_LOGPROB))
    *_, ballot = sitting.judged(PeerReview())
    assert (ballot.about, ballot.abstained) == ((), "no digit from 1 to 5 among its likeliest tokens")
    assert len(ballot.calls) == 2


def test_score_logprob_of_a_failing_reviewer_abstains() -> None:
    broken = member(
        "eve", "x", lambda _: Reply(fail=FailureKind.HTTP, error="HTTP 500"), ballot=BallotMode.SCORE_LOGPROB
    )
    *_, ballot = table(ANN, BOB, broken).judged(PeerReview())
    assert (ballot.about, ballot.abstained) == ((), "its review failed: HTTP 500")


# ---- likelihood -------------------------------------------------------------------------------


@dataclass
class Likely:
    """A member that scores texts as told: by conversation or without one."""

    name: str
    given: Sequence[TextScore]
    bare: Sequence[TextScore] = ()
    asked: list[tuple[Request, tuple[str, ...]]] = field(default_factory=list)

    @property
    def card(self) -> Card:
        abilities = frozenset({Capability.REVIEW, Capability.LIKELIHOOD})
        return Card(self.name, capabilities=abilities, ballot=BallotMode.LIKELIHOOD)

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        return Completion(self.name, "FACT", usage=Usage(1, 1, 1, 0.0))

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        self.asked.append((request, tuple(texts)))
        return Scores(self.name, tuple(self.given if request.messages else self.bare), Usage(1, 1, 0, 0.0))


def likely(*given: TextScore, bare: Sequence[TextScore] = ()) -> tuple[Table, Likely]:
    eve = Likely("eve", given, bare)
    return Table({"ann": ScriptedModel(ANN), "bob": ScriptedModel(BOB), "eve": eve}), eve


def test_likelihood_is_the_mean_log_probability_under_the_conversation() -> None:
    sitting, eve = likely(TextScore(-6.0, 3), TextScore(-1.0, 4))
    *_, ballot = sitting.judged(PeerReview())
    [(request, texts)] = eve.asked
    assert request is sitting.request
    assert [c.text for id_ in ballot.about for c in sitting.candidates if c.id == id_] == list(texts)
    assert (sorted(texts), ballot.scores) == (["FACT FACT", "no idea"], (-2.0, -0.25))
    assert len(ballot.calls) == 1


def test_likelihood_of_scripted_members_follows_the_script() -> None:
    knowing = member("eve", "FACT", likelihoods={"FACT FACT": -0.5, "no idea": -3.0})
    sitting = table(ANN, BOB, CAT, knowing)
    *_, ballot = sitting.judged(PeerReview())
    assert sitting.scores(ballot) == {"ann": -3.0, "bob": -0.5, "cat": -10.0}


def test_likelihood_less_the_unconditional_one() -> None:
    sitting, eve = likely(TextScore(-6.0, 3), TextScore(-1.0, 4), bare=[TextScore(-12.0, 3), TextScore(-1.0, 4)])
    *_, ballot = sitting.judged(PeerReview(less_unconditional=True))
    assert ballot.scores == (2.0, 0.0)
    assert [request.messages for request, _ in eve.asked] == [sitting.request.messages, ()]
    assert eve.asked[0][1] == eve.asked[1][1]
    assert len(ballot.calls) == 2


def test_an_impossible_answer_stands_below_every_other() -> None:
    sitting, _ = likely(TextScore(-math.inf, 3), TextScore(-400.0, 4))
    *_, ballot = sitting.judged(PeerReview())
    assert ballot.scores == (IMPOSSIBLE, -100.0)


@pytest.mark.parametrize("odd", [TextScore(math.nan, 3), TextScore(0.0, 0)])
def test_an_answer_without_a_log_probability_is_not_scored(odd: TextScore) -> None:
    sitting, _ = likely(odd, TextScore(-4.0, 4))
    *_, ballot = sitting.judged(PeerReview())
    assert ballot.scores == (-1.0,)
    sitting, _ = likely(odd, odd)
    *_, ballot = sitting.judged(PeerReview())
    assert (ballot.about, ballot.abstained) == ((), "no log-probability for any answer")


def test_a_scorer_that_leaves_answers_out_abstains() -> None:
    sitting, _ = likely(TextScore(-1.0, 1))
    *_, ballot = sitting.judged(PeerReview())
    assert (ballot.about, ballot.abstained) == ((), "it scored 1 of 2 answers")
    sitting, _ = likely(TextScore(-1.0, 1), TextScore(-1.0, 1), bare=[TextScore(-1.0, 1)])
    *_, ballot = sitting.judged(PeerReview(less_unconditional=True))
    assert ballot.about == ()


def test_a_member_without_likelihoods_says_so() -> None:
    sitting = table(ANN, BOB)
    [first, second] = sitting.judged(PeerReview(ballots={"bob": BallotMode.LIKELIHOOD}))
    assert sitting.scores(first) == {"bob": 3.0}
    assert second == Judgement.abstain("bob", "it gives no log-probabilities of given texts")


def test_how_a_member_reviews_can_be_chosen_for_it() -> None:
    knowing = member("eve", "FACT", likelihoods={"no idea": -3.0})
    assert table(ANN, knowing).judged(PeerReview())[1].scores == (-3.0,)
    assert table(ANN, knowing).judged(PeerReview(ballots={"eve": BallotMode.TEXT}))[1].scores == (1.0,)


# ---- large committees and long answers --------------------------------------------------------


def test_more_than_26_members_have_labels_of_their_own() -> None:
    sitting = table(*(member(f"m{n}", "FACT " * (n % 5) + f"#{n}") for n in range(30)))
    ballots = sitting.judged(PeerReview())
    for n, ballot in enumerate(ballots):
        assert sitting.scores(ballot) == {f"m{k}": 1.0 + k % 5 for k in range(30) if k != n}
        assert len(sitting.reviews(f"m{n}")[0].answers) == 29


@pytest.mark.parametrize("turns", [1, 40])
@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.SCORE_LOGPROB])
def test_long_answers_are_shortened_to_the_reviewers_window(mode: BallotMode, turns: int) -> None:
    window, reply = 2000, 100
    spec = member("eve", "x", lambda _: Reply("4", logprobs=digits(d4=1.0)), context_tokens=window, ballot=mode)
    model = ScriptedModel(spec)
    request = Request(tuple(Message("user", f"turn {n}") for n in range(turns)))
    sitting = Table({"eve": model}, request=request)
    long = [Candidate(f"c{n}", "other", f"<begin {n}>" + "word " * 3000 + f"<end {n}>") for n in range(3)]
    short = Candidate("c9", "other", "short")
    asyncio.run(sitting.run.judge(PeerReview(("eve",), max_tokens=reply), request, [*long, short]))
    texts = [text for asked in model.requests for text in Prompt(asked.messages[0].text).answers.values()]
    assert len(texts) == 4
    assert "short" in texts
    for n in range(3):
        [text] = [text for text in texts if text.startswith(f"<begin {n}>")]
        assert text.endswith(f"<end {n}>")
        assert re.search(r"\n\[\d+ characters left out\]\n", text)
    for asked in model.requests:
        prompt = asked.messages[0].text
        assert len(prompt) <= (window - (asked.sampling.max_tokens or 0)) * CHARACTERS_A_TOKEN
    assert max(len(asked.messages[0].text) for asked in model.requests) > 1.5 * window


def test_nothing_is_shortened_where_the_window_is_wide_enough_or_unknown() -> None:
    for window in (None, 100_000):
        text = "word " * 3000
        sitting = table(member("ann", text), member("bob", "FACT", context_tokens=window))
        sitting.judged(PeerReview())
        assert list(sitting.reviews("bob")[0].answers.values()) == [text]


def test_a_reviewers_text_is_never_a_candidate() -> None:
    sitting = table(ANN, BOB, CAT)
    sitting.judged(PeerReview())
    assert [c.text for c in sitting.run.ledger.candidates] == ["no idea", "FACT FACT", "FACT FACT FACT"]
    assert len(list(sitting.run.ledger.trace.of(CallFinished))) == 6
