"""Ranked by a judge, fused out of the best."""

from __future__ import annotations

import pytest
from scripted_committee import Cast, ask

from coterie import Aggregate, Agreement, ConfigError, Length, PeerReview, RankAndFuse, Reply
from coterie.trace import CandidateOffered
from coterie.types import FailureKind

NAMES = ("ann", "bob", "cat")


def cast() -> list[Cast]:
    return [Cast("ann", "aa"), Cast("bob", "bbb"), Cast("cat", "c")]


def test_the_best_k_are_fused_by_the_author_of_the_best() -> None:
    players = cast()
    asked = ask(players, RankAndFuse(NAMES, Length(), top_k=2))
    assert (asked.answer.text, asked.answer.how, asked.answer.candidate.author) == ("fused", "fused", "bob")
    by_text = {e.candidate.text: e.candidate.id for e in asked.trace.of(CandidateOffered)}
    assert asked.answer.candidate.parents == (by_text["bbb"], by_text["aa"])
    [prompt] = players[1].prompts("fuse")
    assert "bbb" in prompt
    assert "\nc\n" not in prompt
    assert asked.answer.usage.calls == 4


def test_any_judge_any_rule_any_fuser() -> None:
    players = [*cast(), Cast("dan", fused="by dan")]
    method = RankAndFuse(NAMES, PeerReview(), "copeland", 3, Aggregate("dan"))
    asked = ask(players, method)
    assert method.asks == (*NAMES, "dan")
    assert (asked.answer.text, asked.answer.usage.calls) == ("by dan", 7)
    assert asked.answer.ranking is not None
    assert asked.answer.ranking.rule == "copeland"
    assert [stage for stage, _ in players[3].asked] == ["fuse"]


def test_the_best_one_alone_is_not_fused() -> None:
    players = cast()
    asked = ask(players, RankAndFuse(NAMES, Length(), top_k=1))
    assert (asked.answer.text, asked.answer.how, asked.answer.usage.calls) == ("bbb", "ranked", 3)
    assert [player.prompts("fuse") for player in players] == [[], [], []]


def test_more_than_there_are_is_all_there_are() -> None:
    asked = ask(cast(), RankAndFuse(NAMES, Length(), top_k=99))
    assert len(asked.answer.candidate.parents) == 3


def test_where_the_fuser_fails_the_first_is_the_answer_and_it_is_said() -> None:
    players = cast()
    players[1].fused = Reply("half a", fail=FailureKind.HTTP, error="HTTP 500")
    asked = ask(players, RankAndFuse(NAMES, Length()))
    assert (asked.answer.text, asked.answer.how, asked.answer.candidate.author) == ("bbb", "ranked", "bob")
    assert asked.answer.notes == ("the fuser (bob) failed (HTTP 500), so the answer is the ranking's first",)
    assert [(f.member, f.stage) for f in asked.answer.failures] == [("bob", "fuse")]
    assert len(asked.answer.candidates) == 3


def test_equal_answers_are_judged_like_any() -> None:
    asked = ask([Cast(name, "Paris") for name in NAMES], RankAndFuse(NAMES, Agreement()))
    assert (asked.answer.text, asked.answer.how) == ("fused", "fused")
    assert asked.answer.ranking is not None
    assert len(asked.answer.ranking.ties) == 1


@pytest.mark.parametrize("top_k", [0, -1])
def test_at_least_one_is_fused(top_k: int) -> None:
    with pytest.raises(ValueError, match=f"top_k must be at least 1, not {top_k}"):
        RankAndFuse(NAMES, top_k=top_k)


def test_an_unknown_rule_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(ConfigError, match="there is no ranking rule 'bordo'"):
        RankAndFuse(NAMES, rule="bordo")
