"""Ballots by criteria, and everything about the form that can be replaced."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from coterie import ConfigError, Form, Limits, PeerReview, Reply, Request, ScriptedMember
from coterie.config import loads
from coterie.judges.peer_review import CRITERIA
from coterie.judges.peer_review.form import LABEL_LETTERS
from coterie.members.scripted import ScriptedModel
from coterie.protocols import Emit
from coterie.quoting import CHARACTERS_A_TOKEN, FENCE_CHARACTERS, SHORTEST_SHARE, recalled, words
from coterie.ranking import borda, normalised_borda
from coterie.run import LiveRun, Seat
from coterie.trace import CallStarted
from coterie.types import (
    BallotMode,
    Candidate,
    Capability,
    Card,
    Completion,
    Criterion,
    FailureKind,
    Judgement,
    Message,
    Sampling,
    Usage,
)
from review_prompts import Fenced, honest

QUESTION = "What is the capital of France?"
POINTWISE = PeerReview(("eve",), ballot=BallotMode.POINTWISE)
ANSWERS = {"ann": "Paris", "bob": "Lyon", "cat": "Paris, France"}

Said = Reply | str | Callable[[str], "Reply | str"]


def reviewed(
    judge: PeerReview,
    said: Said,
    answers: Mapping[str, str] | Sequence[Candidate] = ANSWERS,
    request: Request | None = None,
    limits: Limits = Limits(),  # noqa: B008
    **how: object,
) -> tuple[list[Judgement], list[Request], LiveRun]:
    """What eve says of the answers, and what it was asked, in the order of the answers where one by one."""

    def script(request: Request, number: int) -> Reply | str:
        return said(request.messages[-1].text) if callable(said) else said

    given = (
        [Candidate(f"c{n}", author, text) for n, (author, text) in enumerate(answers.items(), 1)]
        if isinstance(answers, Mapping)
        else list(answers)
    )

    async def work() -> tuple[list[Judgement], list[Request], LiveRun]:
        model = ScriptedModel(replace(ScriptedMember("eve", script=script), **how))  # type: ignore[arg-type]
        asked = request or Request.of(QUESTION)
        run = LiveRun(asked, {"eve": Seat(model.card, model)}, limits, seed=3)
        return await run.judge(judge, asked, given), model.requests, run

    return asyncio.run(work())


def scored(**scores: int) -> Callable[[str], str]:
    """A pointwise ballot with these scores for every answer."""
    return lambda prompt: json.dumps(
        {"answer": next(iter(Fenced(prompt).answers)), "scores": scores, "reason": "so it is"}
    )


# ---- ballots by criteria ----------------------------------------------------------------------


def test_criteria_are_summed_and_kept_beside_the_sum_with_a_reason_for_each_answer() -> None:
    def review(prompt: str) -> str:
        [(label, text)] = Fenced(prompt).answers.items()
        scores = {"accuracy": 5 if "Paris" in text else 1, "relevance": 4, "completeness": 3, "coherence": 2}
        return json.dumps({"answer": label, "scores": scores, "reason": f"about {text}"})

    [ballot], asked, run = reviewed(POINTWISE, review)
    assert (ballot.judge, ballot.about, ballot.scores) == ("eve", ("c1", "c2", "c3"), (14.0, 10.0, 14.0))
    assert ballot.criteria == (
        Criterion("accuracy", (5.0, 1.0, 5.0)),
        Criterion("relevance", (4.0, 4.0, 4.0)),
        Criterion("completeness", (3.0, 3.0, 3.0)),
        Criterion("coherence", (2.0, 2.0, 2.0)),
    )
    assert ballot.reasons == ("about Paris", "about Lyon", "about Paris, France")
    shown = [text for request in asked for text in Fenced(request.messages[0].text).answers.values()]
    assert sorted(shown) == sorted(ANSWERS.values())
    assert sorted(event.needs for event in run.ledger.trace.of(CallStarted)) == [("c1",), ("c2",), ("c3",)]
    assert len(ballot.calls) == 3


def test_sums_become_competition_ranks_whose_tied_points_are_averaged() -> None:
    scores = {"Paris": 5, "Lyon": 1, "Paris, France": 5}
    [ballot], _, _ = reviewed(POINTWISE, honest(lambda text: scores[text]))
    assert ballot.scores == (20.0, 4.0, 20.0)
    ranked = borda([ballot], ["c1", "c2", "c3"])
    assert (ranked.scores, ranked.ranks) == ({"c1": 1.5, "c2": 0.0, "c3": 1.5}, {"c1": 1, "c3": 1, "c2": 3})
    assert normalised_borda([ballot], ["c1", "c2", "c3"]).scores == {"c1": 0.75, "c2": 0.0, "c3": 0.75}


def test_every_answer_is_reviewed_under_a_label_of_its_own() -> None:
    _, asked, _ = reviewed(POINTWISE, honest(len), {"ann": "same", "bob": "same"})
    prompts = [Fenced(request.messages[0].text) for request in asked]
    labels = [label for prompt in prompts for label in prompt.answers]
    assert all(re.fullmatch(rf"[A-Z]{{{LABEL_LETTERS}}}", label) for label in labels)
    assert len(set(labels)) == 2
    assert all(f'{{"answer": "{label}", ' in prompt.form for label, prompt in zip(labels, prompts, strict=True))


def test_a_ballot_by_criteria_is_asked_for_without_chance_and_held_to_its_schema() -> None:
    _, [asked, *_], _ = reviewed(replace(POINTWISE, max_tokens=321), honest(len))
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0.0, 321)
    assert asked.schema is not None
    assert asked.schema["required"] == ["answer", "scores", "reason"]
    [label] = Fenced(asked.messages[0].text).answers
    assert asked.schema["properties"]["answer"] == {"type": "string", "enum": [label]}
    assert asked.schema["properties"]["scores"]["required"] == list(CRITERIA)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Very good!", "no scores from 1 to 5 for the answer {label} in its text"),
        (scored(accuracy=5), "no score for relevance, completeness, coherence in its text"),
        (scored(accuracy=9, relevance=5, completeness=5, coherence=5), "no score for accuracy in its text"),
        (
            lambda prompt: (
                scored(accuracy=5, relevance=5, completeness=5, coherence=5)(prompt)
                + scored(accuracy=1, relevance=1, completeness=1, coherence=1)(prompt)
            ),
            "several ballots that contradict each other in its text",
        ),
        (
            '{"answer": "AAA", "scores": {"accuracy": 5, "relevance": 5, "completeness": 5, "coherence": 5}}',
            "no scores from 1 to 5 for the answer {label} in its text",
        ),
        (
            '{"scores": {"accuracy": 5, "relevance": 5, "completeness": 5, "coherence": 5}}',
            "no scores from 1 to 5 for the answer {label} in its text",
        ),
    ],
    ids=["prose", "one criterion", "off the scale", "two ballots", "another answer", "no answer named"],
)
def test_a_review_that_does_not_say_everything_says_nothing(said: Said, why: str) -> None:
    [ballot], [asked, _, _], _ = reviewed(POINTWISE, said)
    [label] = Fenced(asked.messages[0].text).answers
    assert (ballot.about, ballot.abstained) == ((), why.format(label=label))
    assert len(ballot.calls) == 3


def test_answers_whose_review_cannot_be_read_are_left_out() -> None:
    def review(prompt: str) -> Reply | str:
        fenced = Fenced(prompt)
        return "?" if "Lyon" in fenced.answers.values() else fenced.ballot(len)

    [ballot], _, _ = reviewed(POINTWISE, review, {"ann": "a", "bob": "Lyon", "cat": "ccc"})
    assert (ballot.about, ballot.scores) == (("c1", "c3"), (4.0, 12.0))
    assert len(ballot.calls) == 3


def test_a_review_that_fails_leaves_its_answer_out() -> None:
    def review(prompt: str) -> Reply | str:
        fenced = Fenced(prompt)
        return (
            Reply(fail=FailureKind.HTTP, error="HTTP 500") if "Lyon" in fenced.answers.values() else fenced.ballot(len)
        )

    [ballot], _, run = reviewed(POINTWISE, review, {"ann": "a", "bob": "Lyon", "cat": "ccc"})
    assert (ballot.about, len(ballot.calls)) == (("c1", "c3"), 2)
    assert [(failure.member, failure.error) for failure in run.ledger.failures] == [("eve", "HTTP 500")]


def test_where_every_review_fails_it_says_how() -> None:
    [ballot], _, _ = reviewed(POINTWISE, Reply(fail=FailureKind.HTTP, error="HTTP 500"))
    assert ballot.abstained == "its review failed: HTTP 500"


def test_a_reason_that_is_left_out_everywhere_is_none() -> None:
    [ballot], _, _ = reviewed(POINTWISE, honest(len, reason=""))
    assert ballot.reasons == ()


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])
def test_an_empty_answer_and_a_single_one_are_reviewed_like_any(mode: BallotMode) -> None:
    judge = PeerReview(("eve",), ballot=mode)
    [ballot], asked, _ = reviewed(judge, honest(lambda text: 2), {"ann": " "})
    assert (ballot.about, len(asked)) == (("c1",), 1)
    [ballot], asked, _ = reviewed(judge, honest(lambda text: 2), {"eve": "my own"})
    assert (ballot.about, asked) == ((), [])


# ---- the form ---------------------------------------------------------------------------------


def test_the_evaluators_role_names_the_thesis_criteria_and_asks_for_a_short_reason() -> None:
    for mode in (BallotMode.TEXT, BallotMode.POINTWISE):
        _, [asked, *_], _ = reviewed(PeerReview(("eve",), ballot=mode), honest(len))
        form = Fenced(asked.messages[0].text).form
        assert "critically for accuracy, relevance, completeness and coherence" in form
        assert "from 1 (worthless) to 5 (excellent)" in form
        assert '"reason": "<what decided it, in a sentence' in form


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])
def test_criteria_and_scale_can_be_replaced(mode: BallotMode) -> None:
    form = Form(criteria=("brevity", 'wit and "style"'), scale=(0, 9))
    judge = PeerReview(("eve",), ballot=mode, form=form)
    [ballot], [asked, *_], _ = reviewed(judge, honest(lambda text: 8 if "Paris" in text else 1))
    prompt = asked.messages[0].text
    assert 'critically for brevity and wit and "style"' in prompt
    assert "from 0 (worthless) to 9 (excellent)" in prompt
    times = 2 if mode is BallotMode.POINTWISE else 1
    by_id = dict(zip(ballot.about, ballot.scores, strict=True))
    assert by_id == pytest.approx({"c1": 8.0 * times, "c2": 1.0 * times, "c3": 8.0 * times})
    assert [c.name for c in ballot.criteria] == (list(form.criteria) if mode is BallotMode.POINTWISE else [])


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])
def test_the_instruction_can_be_replaced_and_the_form_of_the_reply_stays(mode: BallotMode) -> None:
    rubric = 'Prefer answers with {a source}. %s "quoted"'
    judge = PeerReview(("eve",), ballot=mode, form=Form(instruction=rubric))
    [ballot], [asked, *_], _ = reviewed(judge, honest(lambda text: 3))
    prompt = asked.messages[0].text
    assert rubric in prompt
    assert "critically for" not in prompt
    assert len(ballot.about) == 3


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])
def test_the_conversation_can_be_left_out_as_the_thesis_prints_it(mode: BallotMode) -> None:
    for shows in (True, False):
        judge = PeerReview(("eve",), ballot=mode, form=Form(shows_conversation=shows))
        [ballot], [asked, *_], _ = reviewed(judge, honest(lambda text: 3))
        prompt = asked.messages[0].text
        assert (QUESTION in prompt) == shows
        assert ("a question that you are not shown" in prompt) == (not shows)
        assert len(ballot.about) == 3


@pytest.mark.parametrize("criteria", [(), ("a", "A "), ("",), (" ",), ("Reason",), ("scores", "a"), ("answer",)])
def test_criteria_that_could_not_be_told_apart_are_refused(criteria: tuple[str, ...]) -> None:
    with pytest.raises(
        ValueError, match="criteria must be different names, none of them blank or answer, reason, scores"
    ):
        Form(criteria=criteria)


@pytest.mark.parametrize("scale", [(5, 1), (3, 3), (-1, 5)])
def test_a_scale_that_is_none_is_refused(scale: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="scale must go from one score, 0 or more, to a higher one"):
        Form(scale=scale)


def test_a_scale_of_two_digits_takes_words() -> None:
    ten = Form(scale=(1, 10))
    with pytest.raises(ValueError, match="score_logprob ballots are one digit"):
        PeerReview(ballot=BallotMode.SCORE_LOGPROB, form=ten)
    with pytest.raises(ValueError, match="score_logprob ballots are one digit"):
        PeerReview(ballots={"a": BallotMode.SCORE_LOGPROB}, form=ten)
    [ballot], asked, _ = reviewed(PeerReview(("eve",), form=ten), "4", ballot=BallotMode.SCORE_LOGPROB)
    assert (ballot.about, asked) == ((), [])
    assert ballot.abstained == "a score of the scale (1, 10) may take more than the one digit of its ballot"
    [ballot], _, _ = reviewed(PeerReview(("eve",), form=ten), honest(lambda text: 10))
    assert ballot.scores == (10.0, 10.0, 10.0)


def test_a_member_without_log_probabilities_is_not_asked_for_a_digit() -> None:
    async def work() -> tuple[Sequence[Judgement], int]:
        model = ScriptedModel(ScriptedMember("eve", ("4",), ballot=BallotMode.SCORE_LOGPROB))
        card = replace(model.card, capabilities=frozenset({Capability.REVIEW}))
        run = LiveRun(Request.of(QUESTION), {"eve": Seat(card, model)})
        said = await run.judge(PeerReview(("eve",)), run.request, [Candidate("c1", "ann", "Paris")])
        return said, len(model.requests)

    said, asked = asyncio.run(work())
    assert (said, asked) == ([Judgement.abstain("eve", "it gives no log-probabilities of what it writes")], 0)


# ---- settings that cannot be ------------------------------------------------------------------


@pytest.mark.parametrize("reviewers", [(), ("ann", "bob", "ann")])
def test_reviewers_are_somebody_and_everybody_once(reviewers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="reviewers must name somebody, and everybody once"):
        PeerReview(reviewers)


@pytest.mark.parametrize("each", [0, -1])
def test_an_answer_has_at_least_one_reviewer(each: int) -> None:
    with pytest.raises(ValueError, match=f"reviewers_each must be at least 1, not {each}"):
        PeerReview(reviewers_each=each)


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_is_a_number_from_nought(weight: float) -> None:
    with pytest.raises(ValueError, match="the weight of 'ann' must be 0 or more"):
        PeerReview(weights={"ann": weight})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("reviewers_each: 0", "methods.default.review: reviewers_each must be at least 1"),
        ("reviewers: []", "methods.default.review: reviewers must name somebody"),
        (
            "ballot: essay",
            "methods.default.review.ballot: should be 'text', 'pointwise', 'score_logprob' or 'likelihood'",
        ),
        ("ballots: {zoe: text}", "ballots: 'zoe' is not among the members"),
        ("weights: {zoe: 1}", "weights: 'zoe' is not among the members"),
        ("reviewers: [zoe]", "'zoe' is not among the members"),
        ("form: {criteria: [a, a]}", "methods.default.review.form: criteria must be different names"),
        ("form: {scale: [1]}", "methods.default.review.form.scale"),
        ("form: {rubric: x}", "methods.default.review.form.rubric: there is no such setting"),
    ],
)
def test_a_configuration_says_what_is_wrong_and_where(settings: str, said: str) -> None:
    text = f"""\
members:
  a: {{engine: scripted, replies: [x]}}
  b: {{engine: scripted, replies: [x]}}
methods:
  default:
    kind: peer_blend
    members: [a, b]
    review: {{{settings}}}
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "blend.yaml", env={})
    assert said in str(caught.value)


# ---- tool calls and long conversations --------------------------------------------------------

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}


@pytest.mark.parametrize("mode", list(BallotMode))
def test_an_answer_that_calls_tools_is_reviewed_by_its_calls(mode: BallotMode) -> None:
    answers = [
        Candidate("c1", "ann", "", tool_calls=(CALL,)),
        Candidate("c2", "bob", "Let me see.", tool_calls=(CALL,)),
    ]
    line = '{"name": "weather", "arguments": "{\\"city\\": \\"Zürich\\"}"}'
    likelihoods = {line: -1.0, f"Let me see.\n{line}": -2.0}
    [ballot], asked, _ = reviewed(
        PeerReview(("eve",), ballot=mode), honest(lambda text: 5), answers, likelihoods=likelihoods
    )
    assert set(ballot.about) == {"c1", "c2"}
    if mode is BallotMode.LIKELIHOOD:
        assert sorted(ballot.scores) == [-2.0, -1.0]
    else:
        shown = {text for request in asked for text in Fenced(request.messages[0].text).answers.values()}
        assert shown == {line, f"Let me see.\n{line}"}


def test_a_conversation_shows_which_tools_were_called_and_what_they_said() -> None:
    turns = (
        Message("user", "How warm is it?"),
        Message("assistant", "", {"tool_calls": [CALL]}),
        Message("tool", "19 degrees", {"tool_call_id": "call_1"}),
    )
    _, [asked, *_], _ = reviewed(PeerReview(("eve",)), honest(len), request=Request(turns))
    fenced = Fenced(asked.messages[0].text)
    assert fenced.blocks("assistant") == [("", '{"name": "weather", "arguments": "{\\"city\\": \\"Zürich\\"}"}')]
    assert fenced.blocks("tool") == [("", "19 degrees")]


@pytest.mark.parametrize("odd", [None, "text", [], [None], [1], {}])
def test_odd_tool_calls_are_none(odd: object) -> None:
    assert words(Message("assistant", "said", {"tool_calls": odd})) == "said"


@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])
@pytest.mark.parametrize("turns", [1, 5, 400])
def test_a_long_conversation_leaves_room_for_the_answers(mode: BallotMode, turns: int) -> None:
    window = 2000
    conversation = (
        Message("system", "Be brief."),
        *(Message("user", f"turn {n}: " + "word " * (9000 // turns)) for n in range(turns)),
    )
    answers = {"ann": "<a>" + "x" * 9000 + "</a>", "bob": "<b>" + "y" * 9000 + "</b>"}
    [ballot], asked, _ = reviewed(
        PeerReview(("eve",), ballot=mode, max_tokens=100),
        honest(lambda text: 3),
        answers,
        Request(conversation),
        context_tokens=window,
    )
    assert len(ballot.about) == 2
    for request in asked:
        prompt = request.messages[0].text
        fenced = Fenced(prompt)
        assert len(prompt) <= (window - (request.sampling.max_tokens or 0)) * CHARACTERS_A_TOKEN
        assert fenced.blocks("system") == [("", "Be brief.")]
        assert fenced.blocks("user")[-1][1].startswith(f"turn {turns - 1}: ")
        assert all(len(text) > SHORTEST_SHARE for text in fenced.answers.values())


def test_of_a_long_conversation_the_last_turns_are_recalled() -> None:
    turns = [Message("user", f"{n}" * 10) for n in range(10)]
    assert recalled(turns, 10_000) == turns
    assert recalled(turns, 3 * (10 + FENCE_CHARACTERS)) == turns[-3:]
    assert recalled([Message("system", "s" * 10), *turns], 3 * (10 + FENCE_CHARACTERS)) == [
        Message("system", "s" * 10),
        *turns[-2:],
    ]
    assert recalled(turns, 0) == turns[-1:]
    assert recalled([], 100) == []
    [clipped] = recalled([Message("user", "x" * 5000)], 1000)
    assert len(clipped.text) <= 1000
    assert "characters left out" in clipped.text


# ---- what reviewers are told of a request -----------------------------------------------------


class Answering:
    """A member that answers with a tool call and reviews by its length."""

    def __init__(self, name: str) -> None:
        self.card = Card(name, capabilities=frozenset({Capability.REVIEW}), ballot=BallotMode.TEXT)
        self.asked: list[Request] = []

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        self.asked.append(request)
        usage = Usage(1, 1, 1, 0.0)
        prompt = request.messages[-1].text
        if prompt.startswith("You are reviewing"):
            return Completion(self.card.name, Fenced(prompt).ballot(lambda text: 3), usage=usage)
        return Completion(self.card.name, "", "tool_calls", usage, tool_calls=(CALL,))


def test_tools_and_formats_of_the_request_are_not_passed_on_to_reviewers() -> None:
    async def work() -> list[Request]:
        models = {name: Answering(name) for name in ("ann", "bob")}
        tools = Sampling(max_tokens=9, stop=("x",), extra={"tools": [{}], "response_format": {"type": "json_object"}})
        request = Request((Message("user", QUESTION),), tools, schema={"type": "object"})
        run = LiveRun(request, {name: Seat(model.card, model) for name, model in models.items()})
        await run.judged(["ann", "bob"], request, PeerReview())
        return [asked for model in models.values() for asked in model.asked if asked is not request]

    reviews = asyncio.run(work())
    assert len(reviews) == 2
    assert all((r.sampling.extra, r.sampling.stop, r.schema) == ({}, (), None) for r in reviews)
