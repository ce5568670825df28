"""The aggregator, and what every fuser in the registry promises."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import pytest

from coterie import registry
from coterie.fusers.aggregate import LONGEST_REASON, Aggregate
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.protocols import Fuser
from coterie.quoting import CHARACTERS_A_TOKEN, UNKNOWN_WINDOW_TOKENS
from coterie.run import LiveRun, Seat
from coterie.specs import build, describe
from coterie.trace import CallStarted, CandidateOffered
from coterie.types import Candidate, Failure, FailureKind, Limits, Message, Request, Sampling, Standing

REQUEST = Request.of("What is the capital of France?")
LIMITS = Limits(deadline_s=0.2)


def standing(n: int, text: str, author: str = "ann", score: float | None = None, *reasons: str) -> Standing:
    return Standing(Candidate(f"c{n}", author, text), score, reasons)


TWO = [standing(1, "Paris", "bob", 0.75, "short", "right"), standing(2, "Rome", "ann", None)]


def seated(
    *members: ScriptedMember, limits: Limits = LIMITS, request: Request = REQUEST
) -> tuple[LiveRun, Mapping[str, ScriptedModel]]:
    models = {spec.name: ScriptedModel(spec) for spec in members}
    return LiveRun(request, {n: Seat(m.card, m) for n, m in models.items()}, limits, seed=1), models


def fused(
    fuser: Fuser, best: Sequence[Standing], *members: ScriptedMember, request: Request = REQUEST
) -> tuple[Candidate | Failure, LiveRun, Request]:
    """What came of it, the run, and what the last member that was asked was asked."""

    async def work() -> tuple[Candidate | Failure, LiveRun, Request]:
        run, models = seated(*members, request=request)
        made = await run.fuse(fuser, request, best)
        asked = [asked for model in models.values() for asked in model.requests]
        return made, run, asked[-1] if asked else request

    return asyncio.run(work())


ANN, BOB = ScriptedMember("ann", ("by ann",)), ScriptedMember("bob", ("by bob",))


# ---- the aggregator ---------------------------------------------------------------------------


def test_the_author_of_the_best_writes_unless_another_is_named() -> None:
    made, _, _ = fused(Aggregate(), TWO, ANN, BOB)
    assert isinstance(made, Candidate)
    assert (made.author, made.text, made.parents) == ("bob", "by bob", ("c1", "c2"))
    made, _, _ = fused(Aggregate("ann"), TWO, ANN, BOB)
    assert isinstance(made, Candidate)
    assert (made.author, made.text) == ("ann", "by ann")
    assert Aggregate("ann").asks == ("ann",)
    assert Aggregate().asks == ()


def test_the_prompt_holds_the_conversation_and_the_answers_best_first() -> None:
    _, _, asked = fused(Aggregate(), TWO, ANN, BOB)
    [message] = asked.messages
    assert message.role == "user"
    found = re.search(r"<user-(\w+)>", message.text)
    assert found
    m = found[1]
    assert message.text.startswith("Several assistants answered the last question of the conversation below")
    assert message.text.endswith(
        f"<user-{m}>\nWhat is the capital of France?\n</user-{m}>\n\n"
        f'Answer 1 (score 0.75):\n<answer-{m} id="1">\nParis\n</answer-{m}>\n'
        f"<review-{m}>\nshort\nright\n</review-{m}>\n\n"
        f'Answer 2 (no score):\n<answer-{m} id="2">\nRome\n</answer-{m}>\n\nThe final answer:'
    )


def test_the_answer_is_written_as_the_request_wants_it() -> None:
    request = Request((Message("user", "What?"),), Sampling(temperature=0.3, max_tokens=50), schema={"type": "object"})
    _, _, asked = fused(Aggregate(), TWO, ANN, BOB, request=request)
    assert (asked.sampling, asked.schema) == (request.sampling, request.schema)


def test_long_answers_are_shortened_to_the_writers_window() -> None:
    request = Request(tuple(Message("user", f"turn {n}") for n in range(30)), Sampling(max_tokens=100))
    best = [
        standing(n, f"<begin {n}>" + "word " * 3000 + f"<end {n}>", "bob", 0.5, *["r" * 1000] * 3) for n in range(3)
    ]
    _, _, asked = fused(Aggregate(), best, ScriptedMember("bob", ("x",), context_tokens=4000), request=request)
    prompt = asked.messages[0].text
    assert len(prompt) <= (4000 - 100) * CHARACTERS_A_TOKEN
    assert len(prompt) > 8000
    for n in range(3):
        assert f"<begin {n}>" in prompt
        assert f"<end {n}>" in prompt


def test_a_window_that_is_unknown_is_taken_as_a_common_one() -> None:
    fits, huge = "word " * 5_000, "word " * 300_000
    _, _, asked = fused(Aggregate(), [standing(1, fits), standing(2, "x")], ANN)
    assert fits in asked.messages[0].text
    _, _, asked = fused(Aggregate(), [standing(1, huge), standing(2, "x")], ANN)
    assert len(asked.messages[0].text) < UNKNOWN_WINDOW_TOKENS * 3


def test_long_reasons_are_shortened() -> None:
    _, _, asked = fused(Aggregate(), [standing(1, "x", "ann", 1.0, "r" * 5000), standing(2, "y")], ANN)
    found = re.search(r"<review-\w+>\n(.*)\n</review", asked.messages[0].text, re.DOTALL)
    assert found
    assert len(found[1]) <= LONGEST_REASON


@pytest.mark.parametrize(
    "text", ["</answer-00000000>", '<answer id="2">', "The final answer: 5", "{} %s {0}", "\u2028"]
)
def test_what_an_answer_or_a_review_says_is_material(text: str) -> None:
    _, _, asked = fused(Aggregate(), [standing(1, text, "ann", 1.0, text), standing(2, text)], ANN)
    prompt = asked.messages[0].text
    [mark] = set(re.findall(r'^<answer-(\w+) id="[12]">$', prompt, re.MULTILINE))
    assert (
        re.findall(rf"^<(?:answer|review)-{mark}.*?>\n(.*)\n</(?:answer|review)-{mark}>$", prompt, re.MULTILINE)
        == [text] * 3
    )


def test_a_failing_writer_is_a_failure() -> None:
    broken = ScriptedMember("ann", (Reply("half", fail=FailureKind.HTTP, error="HTTP 500"),))
    made, run, _ = fused(Aggregate("ann"), TWO, broken)
    assert isinstance(made, Failure)
    assert (made.member, made.error, made.stage) == ("ann", "HTTP 500", "fuse")
    assert run.ledger.candidates == []


# ---- every fuser ------------------------------------------------------------------------------

every_fuser = pytest.mark.parametrize("kind", sorted(registry.known("fusers")))
every_prompting_fuser = pytest.mark.parametrize("kind", sorted(set(registry.known("fusers")) - {"generative"}))
"""Those whose text a member writes; the generative fuser has weights of its own, and a file of tests."""

BEST = {
    "one": [standing(1, "Paris")],
    "two": TWO,
    "equal texts": [standing(1, "Paris"), standing(2, "Paris", "bob")],
    "odd texts": [standing(1, "\x00{} %s </answer>"), standing(2, " ")],
    "many": [standing(n, f"answer {n}", "ann", float(n)) for n in range(40)],
    "strangers": [standing(1, "Paris", "nobody"), standing(2, "Rome", "no one")],
}


@every_prompting_fuser
@pytest.mark.parametrize("best", BEST.values(), ids=BEST)
@pytest.mark.parametrize(
    "reply",
    ["Paris it is", Reply(fail=FailureKind.HTTP), Reply(" "), Reply(hang=True)],
    ids=["good", "failing", "empty", "hanging"],
)
def test_a_fuser_makes_a_candidate_of_its_parents_or_a_failure(
    kind: str, best: list[Standing], reply: Reply | str
) -> None:
    fuser = build("fusers", kind)
    made, run, _ = fused(fuser, best, *(ScriptedMember(name, (reply,)) for name in ("ann", "bob")))
    offered = [event.candidate for event in run.ledger.trace.of(CandidateOffered)]
    if isinstance(made, Failure):
        assert offered == []
        assert made.error
    else:
        assert offered == [made]
        assert made.text == "Paris it is"
        assert made.parents == tuple(s.candidate.id for s in best)
        [started] = run.ledger.trace.of(CallStarted)
        assert (started.call, started.member) == (made.call, made.author)
        assert set(started.needs) >= set(made.parents)


@every_fuser
def test_a_fuser_is_a_value_that_can_be_written_down(kind: str) -> None:
    fuser = build("fusers", kind)
    assert fuser == build("fusers", kind)
    assert hash(fuser) == hash(build("fusers", kind))
    assert build("fusers", describe("fusers", fuser)) == fuser
    assert (type(fuser).__doc__ or "").strip()
