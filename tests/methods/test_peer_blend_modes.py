"""Who writes, who reviews, who aggregates; the three ways to a final answer, and what each costs in calls."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scripted_committee import QUESTION, Asked, Cast, ask, by, fixed

from coterie import ConfigError, Form, PeerBlend, PeerReview, Reply, Request, replay
from coterie.config import loads
from coterie.methods.peer_blend import Final
from coterie.methods.roles import STYLES
from coterie.policies import AlternateRanking, DynamicElimination, FirstK, RandomPick
from coterie.protocols import Emit
from coterie.run import LiveRun, Seat
from coterie.trace import CallStarted, Noted
from coterie.types import (
    BallotMode,
    Capability,
    Card,
    Completion,
    FailureKind,
    Message,
    Result,
    Sampling,
    Usage,
)
from review_prompts import Fenced

NAMES = ("ann", "bob", "cat")
FINALS: tuple[Final, ...] = ("select", "aggregate", "fuse")
every_final = pytest.mark.parametrize("final", FINALS)
every_mode = pytest.mark.parametrize("mode", list(BallotMode))

LIKELY = {"a": -3.0, "b": -5.0, "c": -1.0}


def cast(**how: Any) -> list[Cast]:
    """cat's answer is the best, ann's the next, bob's the worst, and everybody says so."""
    review = fixed(a=3, b=1, c=5)
    return [Cast("ann", "a", review, **how), Cast("bob", "b", review, **how), Cast("cat", "c", review, **how)]


def stages(asked: Asked) -> dict[str, int]:
    return dict(Counter(event.stage for event in asked.trace.of(CallStarted)))


def order(asked: Asked) -> list[str]:
    return [candidate.author for candidate in asked.answer.candidates]


# ---- the three final modes --------------------------------------------------------------------


def test_select_gives_the_rankings_first_verbatim_and_asks_nobody_more() -> None:
    asked = ask(cast(), PeerBlend(NAMES, final="select", early_stop=False))
    assert (asked.answer.text, asked.answer.how, asked.answer.candidate.author) == ("c", "ranked", "cat")
    assert asked.answer.candidate.parents == ()
    assert stages(asked) == {"generate": 3, "review": 3}
    assert asked.answer.notes == ()


def test_aggregate_shows_an_aggregator_answers_scores_and_reasons() -> None:
    def reasoned(prompt: str) -> str:
        return Fenced(prompt).ballot(lambda text: {"a": 3, "b": 1, "c": 5}[text], "it says what was asked")

    players = [*(replace(player, review=reasoned) for player in cast()), Cast("dan", fused="by dan")]
    review = PeerReview(ballot=BallotMode.POINTWISE)
    asked = ask(players, PeerBlend(NAMES, final="aggregate", aggregator="dan", review=review))
    assert (asked.answer.text, asked.answer.how, asked.answer.candidate.author) == ("by dan", "fused", "dan")
    [prompt] = players[3].prompts("fuse")
    assert "give it as it is. Otherwise combine" in prompt
    assert re.findall(r"^Answer (\d) \(score (.*)\):$", prompt, re.MULTILINE) == [
        ("1", "1.00"),
        ("2", "0.50"),
        ("3", "0.00"),
    ]
    assert list(Fenced(prompt).answers.values()) == ["c", "a", "b"]
    assert Fenced(prompt).blocks("review") == [("", "it says what was asked\nit says what was asked")] * 3


def test_fuse_has_the_author_of_the_first_fuse_the_best_k_by_their_texts_alone() -> None:
    players = cast()
    asked = ask(players, PeerBlend(NAMES, final="fuse", top_k=2))
    assert (asked.answer.text, asked.answer.how, asked.answer.candidate.author) == ("fused", "fused", "cat")
    [prompt] = players[2].prompts("fuse")
    assert list(Fenced(prompt).answers.values()) == ["c", "a"]
    assert Fenced(prompt).blocks("review") == []
    assert "(score" not in prompt
    assert "(no score)" not in prompt


@every_final
def test_where_only_one_is_to_be_blended_the_rankings_first_is_the_answer(final: Final) -> None:
    asked = ask(cast(), PeerBlend(NAMES, final=final, top_k=1))
    assert (asked.answer.text, asked.answer.how) == ("c", "ranked")
    assert "fuse" not in stages(asked)


@every_final
@every_mode
@pytest.mark.parametrize(("number", "each"), [(2, None), (3, None), (3, 2), (4, 2), (5, 1), (5, 3), (7, 2), (4, 9)])
def test_it_costs_what_it_says(final: Final, mode: BallotMode, number: int, each: int | None) -> None:
    names = tuple(f"m{n}" for n in range(number))
    players = [Cast(name).member(likelihoods=dict.fromkeys(names, -1.0)) for name in names]
    review = PeerReview(ballot=mode, reviewers_each=each)
    asked = ask(players, PeerBlend(names, final=final, review=review, early_stop=False))
    k = min(each or number, number - 1)
    by_answer = mode in (BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB)
    reviews = number * k if by_answer else number
    expected = {"generate": number, "review": reviews, "fuse": 0 if final == "select" else 1}
    assert Counter(stages(asked)) == Counter(expected)
    assert asked.answer.usage.calls == sum(expected.values())
    spoken = Counter(id_ for judgement in asked.answer.judgements for id_ in judgement.about)
    assert set(spoken.values()) == {k}
    assert sum(usage.calls for usage in asked.trace.bill.members.values()) == sum(expected.values())


@every_mode
@every_final
def test_every_mode_replays(final: Final, mode: BallotMode) -> None:
    players = [player.member(likelihoods=LIKELY) for player in cast()]
    asked = ask(players, PeerBlend(NAMES, final=final, review=PeerReview(ballot=mode, reviewers_each=2)))
    again = replay(asked.trace)
    assert (again.text, again.how, again.ranking) == (asked.answer.text, asked.answer.how, asked.answer.ranking)
    assert [replace(j, calls=()) for j in again.judgements] == [replace(j, calls=()) for j in asked.answer.judgements]
    assert (again.failures, again.usage.calls) == ((), 0)
    assert order(asked) == ["cat", "ann", "bob"]


@pytest.mark.parametrize("final", ["select", "fuse"])
def test_an_aggregator_that_would_have_nothing_to_do_is_refused(final: Final) -> None:
    with pytest.raises(ValueError, match="asks no aggregator, so 'ann' would have nothing to do"):
        PeerBlend(NAMES, final=final, aggregator="ann")


def test_a_final_mode_that_does_not_exist_is_refused_by_name() -> None:
    text = """\
members: {a: {engine: scripted, replies: [x]}}
methods: {default: {kind: peer_blend, members: [a], final: vote}}
"""
    with pytest.raises(ConfigError, match=r"methods.default.final: should be 'select', 'aggregate' or 'fuse'"):
        loads(text, "blend.yaml", env={})


# ---- who does what ----------------------------------------------------------------------------


def test_generators_evaluators_and_aggregator_may_be_different_members() -> None:
    players = [Cast("ann", "a"), Cast("bob", "b"), Cast("eve"), Cast("fay"), Cast("gus", fused="by gus")]
    for judge in players[2:4]:
        judge.review = fixed(a=2, b=4)
    method = PeerBlend(("ann", "bob"), aggregator="gus", review=PeerReview(("eve", "fay")))
    asked = ask(players, method)
    assert method.asks == ("ann", "bob", "eve", "fay", "gus")
    assert {player.name: [stage for stage, _ in player.asked] for player in players} == {
        "ann": ["generate"],
        "bob": ["generate"],
        "eve": ["review"],
        "fay": ["review"],
        "gus": ["fuse"],
    }
    assert (order(asked), asked.answer.text) == (["bob", "ann"], "by gus")


def test_one_member_may_do_all_three() -> None:
    asked = ask(cast(), PeerBlend(NAMES, aggregator="ann", review=PeerReview(("ann",))))
    assert stages(asked) == {"generate": 3, "review": 1, "fuse": 1}
    assert [judgement.judge for judgement in asked.answer.judgements] == ["ann"]
    # ann has no word on its own answer, which so stands at the mean of every ballot
    assert asked.answer.ranking is not None
    assert {c.author: asked.answer.ranking.scores[c.id] for c in asked.answer.candidates} == {
        "ann": None,
        "bob": 0.0,
        "cat": 1.0,
    }
    assert order(asked) == ["cat", "ann", "bob"]


def test_reviewers_may_review_in_different_ways() -> None:
    review = PeerReview(ballots={"ann": BallotMode.POINTWISE, "bob": BallotMode.SCORE_LOGPROB})
    players = [player.member(likelihoods=LIKELY) for player in cast()]
    asked = ask(players, PeerBlend(NAMES, review=review))
    assert stages(asked) == {"generate": 3, "review": 5, "fuse": 1}
    assert order(asked) == ["cat", "ann", "bob"]
    scores = [sorted(judgement.scores) for judgement in asked.answer.judgements]
    assert scores == [[4.0, 20.0], [3.0, 5.0], [-5.0, -3.0]]


def test_a_reviewers_weight_counts() -> None:
    disagree = {"ann": fixed(b=1, c=5), "bob": fixed(a=5, c=1), "cat": fixed(a=1, b=5)}
    players = [Cast(name, name[0], disagree[name]) for name in NAMES]
    for heavy, winner in (("ann", "c"), ("bob", "a"), ("cat", "b")):
        method = PeerBlend(NAMES, final="select", review=PeerReview(weights={heavy: 3.0}))
        assert ask(players, method).answer.text == winner


# ---- prompts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["comprehensive", "concise"])
def test_members_are_told_how_to_write_and_the_aggregator_gets_the_question_as_it_was(style: str) -> None:
    players = cast()
    ask(players, PeerBlend(NAMES, style=style))
    assert [player.prompts("generate") for player in players] == [[f"{STYLES[style]}\n\n{QUESTION}"]] * 3
    assert all(STYLES[style] in player.prompts("review")[0] for player in players)
    [prompt] = players[2].prompts("fuse")
    assert Fenced(prompt).blocks("user") == [("", QUESTION)]


def test_a_style_in_words_is_said_before_the_last_question_of_a_conversation() -> None:
    seen: list[Request] = []

    class Listening:
        def __init__(self, name: str) -> None:
            self.card = Card(name, capabilities=frozenset({Capability.REVIEW}), ballot=BallotMode.TEXT)

        async def generate(self, request: Request, emit: Emit | None) -> Completion:
            seen.append(request)
            return Completion(self.card.name, "x", usage=Usage(1, 1, 1, 0.0))

    turns = (
        Message("user", "Hello"),
        Message("assistant", "Hi"),
        Message("user", ({"type": "text", "text": "And now?"}, {"type": "image_url", "image_url": {"url": "u"}})),
    )
    carried(PeerBlend(("a", "b"), style="Answer as a pirate would."), {n: Listening(n) for n in "ab"}, Request(turns))
    first = seen[0].messages
    assert first[:2] == turns[:2]
    assert isinstance(first[2].content, tuple)
    assert [part.get("text") for part in first[2].content] == ["Answer as a pirate would.\n\n", "And now?", None]


def test_a_style_that_is_neither_named_nor_an_instruction_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no style 'consice': it is one of plain, comprehensive, concise"):
        PeerBlend(NAMES, style="consice")


@pytest.mark.parametrize("final", ["aggregate", "fuse"])
def test_what_the_writer_of_the_answer_is_told_can_be_replaced(final: Final) -> None:
    players = cast()
    ask(players, PeerBlend(NAMES, final=final, aggregator_instruction="Make a haiku {of} them."))
    [prompt] = players[2].prompts("fuse")
    assert "Make a haiku {of} them." in prompt
    assert "Otherwise combine" not in prompt
    assert list(Fenced(prompt).answers.values()) == ["c", "a", "b"]
    with pytest.raises(ValueError, match="so aggregator_instruction would tell nobody anything"):
        PeerBlend(NAMES, final="select", aggregator_instruction="Make a haiku.")


# ---- small committees and few reviewers -------------------------------------------------------


@every_mode
def test_a_committee_of_two_decides_by_mean_scores_and_says_that_this_is_weak(mode: BallotMode) -> None:
    players = [Cast("ann", "a", fixed(b=4)), Cast("bob", "b", fixed(a=2))]
    members = [player.member(likelihoods={"a": -4.0, "b": -1.0}) for player in players]
    for early_stop in (True, False):
        review = PeerReview(ballot=mode)
        asked = ask(members, PeerBlend(("ann", "bob"), final="select", review=review, early_stop=early_stop))
        assert (asked.answer.text, asked.answer.usage.calls) == ("b", 4)
        assert asked.answer.notes == (
            "a weak ranking: no reviewer saw two answers (a committee of two), "
            "so mean scores of different reviewers decide",
        )


def test_one_reviewer_an_answer_is_as_weak() -> None:
    names = tuple(f"m{n}" for n in range(5))
    players = [Cast(name, "x" * n) for n, name in enumerate(names, 1)]
    review = PeerReview(ballot=BallotMode.POINTWISE, reviewers_each=1)
    asked = ask(players, PeerBlend(names, final="select", review=review))
    assert asked.answer.text == "xxxxx"
    assert asked.answer.notes == (
        "a weak ranking: no reviewer saw two answers, so mean scores of different reviewers decide",
    )


def test_scores_of_two_scales_are_not_compared() -> None:
    # ann's 5 of 20 for bob would beat bob's 5 of 5 for ann.
    players = [Cast("ann", "a", fixed(b=2)), Cast("bob", "b", fixed(a=5))]
    review = PeerReview(ballots={"ann": BallotMode.POINTWISE})
    asked = ask(players, PeerBlend(("ann", "bob"), final="select", review=review))
    assert asked.answer.text == "a"
    assert asked.answer.notes[0] == (
        "no ranking: no reviewer saw two answers (a committee of two), and the reviewers' scales have nothing in common"
    )


# ---- answers that are data --------------------------------------------------------------------

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}


@dataclass
class Calling:
    """A member that answers with a tool call, reviews by length, and writes prose where it is to aggregate."""

    name: str
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = (CALL,)
    fused: int = 0

    @property
    def card(self) -> Card:
        return Card(self.name, capabilities=frozenset({Capability.REVIEW}), ballot=BallotMode.TEXT)

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        usage, prompt = Usage(1, 1, 1, 0.0), request.messages[-1].text
        if prompt.startswith("You are reviewing"):
            score: Callable[[str], int] = lambda text: 5 if "weather" in text else 1  # noqa: E731
            return Completion(self.name, Fenced(prompt).ballot(score), usage=usage)
        if prompt.startswith("Several assistants"):
            self.fused += 1
            return Completion(self.name, "It is warm.", usage=usage)
        return Completion(self.name, self.text, "tool_calls", usage, tool_calls=self.calls)


def carried(method: PeerBlend, models: Mapping[str, Any], request: Request) -> tuple[Result, LiveRun]:
    """What a method makes of a request, and the run."""

    async def work() -> tuple[Result, LiveRun]:
        run = LiveRun(request, {name: Seat(model.card, model) for name, model in models.items()}, seed=1)
        result = await method(request, run)
        run.answer(result)
        return result, run

    return asyncio.run(work())


@every_final
def test_an_answer_that_calls_tools_is_given_as_it_stands(final: Final) -> None:
    models = {"ann": Calling("ann", "I cannot know.", ()), "bob": Calling("bob"), "cat": Calling("cat")}
    tools = Sampling(extra={"tools": [{"type": "function", "function": {"name": "weather"}}]})
    result, run = carried(PeerBlend(NAMES, final=final), models, Request.of("How warm is it in Paris?", tools))
    assert (result.candidate.author, result.candidate.text, result.candidate.tool_calls) == ("bob", "", (CALL,))
    assert result.how == "ranked"
    assert sum(model.fused for model in models.values()) == 0
    notes = [note.text for note in run.ledger.trace.of(Noted)]
    assert notes == ([] if final == "select" else ["the first answer calls tools, so it is given as it stands"])


@pytest.mark.parametrize("final", ["aggregate", "fuse"])
def test_tool_calls_of_others_are_shown_to_the_writer_of_the_answer(final: Final) -> None:
    prompts: list[str] = []

    class Writing(Calling):
        async def generate(self, request: Request, emit: Emit | None) -> Completion:
            prompt = request.messages[-1].text
            if prompt.startswith("You are reviewing"):
                prefers_text = Fenced(prompt).ballot(lambda text: 1 if "weather" in text else 5)
                return Completion(self.name, prefers_text, usage=Usage(1, 1, 1, 0.0))
            if prompt.startswith("Several assistants"):
                prompts.append(prompt)
            return await super().generate(request, emit)

    models = {"ann": Writing("ann", "19 degrees.", ()), "bob": Writing("bob"), "cat": Writing("cat")}
    result, _ = carried(PeerBlend(NAMES, final=final), models, Request.of("How warm is it in Paris?"))
    assert (result.candidate.text, result.how) == ("It is warm.", "fused")
    line = '{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}'
    assert list(Fenced(prompts[0]).answers.values()) == ["19 degrees.", line, line]


def test_a_selected_answer_is_the_members_json_to_the_byte() -> None:
    answers = {
        "ann": '{"capital":  "Paris",\n "scores": {"A": 5}}',
        "bob": '```json\n{"capital": "Lyon"}\n```',
        "cat": '{"capital": "París\\u2028"}',
    }
    players = [
        Cast(name, text, by(lambda text: 5 if text.startswith('{"capital": "P') else 1))
        for name, text in answers.items()
    ]
    asked = ask(players, PeerBlend(NAMES, final="select"))
    assert asked.answer.text == answers["cat"]


# ---- policies ---------------------------------------------------------------------------------


@every_final
def test_a_turn_without_ranking_reviews_nobody(final: Final) -> None:
    asked = ask(cast(), PeerBlend(NAMES, final=final, top_k=2, policy=FirstK()))
    assert stages(asked) == ({"generate": 1} if final == "select" else {"generate": 2, "fuse": 1})
    assert asked.answer.text == ("a" if final == "select" else "fused")
    alone = ask(cast(), PeerBlend(NAMES, final=final, policy=RandomPick()))
    assert stages(alone) == {"generate": 1}


@pytest.mark.parametrize("policy", [AlternateRanking(), DynamicElimination()])
def test_a_policy_that_remembers_learns_from_every_ballot(policy: AlternateRanking | DynamicElimination) -> None:
    players = [Cast(f"m{n}", "x" * n) for n in range(1, 6)]
    names = tuple(player.name for player in players)
    asked = ask(players, PeerBlend(names, final="select", policy=policy))
    assert all(judgement.about for judgement in asked.answer.judgements)
    assert len(asked.answer.judgements) == 5


# ---- what fails -------------------------------------------------------------------------------


@every_final
@pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE])
def test_it_answers_whatever_fails(final: Final, mode: BallotMode) -> None:
    broken = Reply(fail=FailureKind.HTTP, error="HTTP 500")
    for players in (
        [replace(player, review=broken) for player in cast()],
        [replace(player, fused=broken) for player in cast()],
    ):
        asked = ask(players, PeerBlend(NAMES, final=final, review=PeerReview(ballot=mode, reviewers_each=2)))
        assert asked.answer.text in ("a", "c", "fused")
        assert asked.active == 0
    hanging = [replace(player, review=Reply(hang=True)).member(timeout_s=0.05) for player in cast()]
    asked = ask(hanging, PeerBlend(NAMES, final=final, review=PeerReview(ballot=mode)))
    assert {failure.kind for failure in asked.answer.failures} == {FailureKind.TIMEOUT}
    assert asked.answer.text == "a"


def test_the_evaluators_see_no_question_where_it_is_left_out() -> None:
    players = cast()
    review = PeerReview(ballot=BallotMode.POINTWISE, form=Form(shows_conversation=False))
    asked = ask(players, PeerBlend(NAMES, review=review))
    assert not any(QUESTION in prompt for player in players for prompt in player.prompts("review"))
    assert order(asked) == ["cat", "ann", "bob"]


def test_a_review_in_a_configuration_is_read_and_written_back() -> None:
    text = json.dumps(
        {
            "members": {name: {"engine": "scripted", "replies": ["x"]} for name in NAMES},
            "methods": {
                "default": {
                    "kind": "peer_blend",
                    "members": list(NAMES),
                    "final": "fuse",
                    "style": "concise",
                    "aggregator_instruction": "Be brief, please.",
                    "early_stop": False,
                    "policy": "alternate_ranking",
                    "review": {
                        "reviewers": ["ann", "cat"],
                        "reviewers_each": 2,
                        "ballot": "pointwise",
                        "ballots": {"cat": "text"},
                        "weights": {"ann": 0.5},
                        "max_tokens": 99,
                        "form": {"criteria": ["wit"], "scale": [0, 10], "shows_conversation": False},
                    },
                }
            },
        }
    )
    method = loads(text, "blend.json", env={}).methods["default"]
    assert method == PeerBlend(
        NAMES,
        final="fuse",
        style="concise",
        aggregator_instruction="Be brief, please.",
        early_stop=False,
        policy=AlternateRanking(),
        review=PeerReview(
            ("ann", "cat"),
            2,
            BallotMode.POINTWISE,
            {"cat": BallotMode.TEXT},
            Form(("wit",), (0, 10), shows_conversation=False),
            {"ann": 0.5},
            max_tokens=99,
        ),
    )
