"""The candidate that a judge puts first, verbatim."""

from __future__ import annotations

import pytest
from scripted_committee import Cast, ask, by, fixed

from coterie import BestOf, ConfigError, Length, PeerReview, Reply
from coterie.types import FailureKind

NAMES = ("ann", "bob", "cat")


def test_by_default_it_is_the_answer_that_most_agree_on() -> None:
    asked = ask([Cast("ann", "Rome"), Cast("bob", "Paris"), Cast("cat", "paris!")], BestOf(NAMES))
    assert (asked.answer.text, asked.answer.how, asked.answer.usage.calls) == ("Paris", "ranked", 3)


def test_the_judge_decides() -> None:
    asked = ask([Cast("ann", "aa"), Cast("bob", "b"), Cast("cat", "cccc")], BestOf(NAMES, Length()))
    assert asked.answer.text == "cccc"
    assert asked.answer.ranking is not None
    assert asked.answer.ranking.rule == "mean"
    assert [c.author for c in asked.answer.candidates] == ["cat", "ann", "bob"]


def test_peers_can_be_the_judge_and_the_rule_is_chosen() -> None:
    # By means cat is first (4.5 of two ballots), by places ann is (first on both of hers).
    asked = ask(
        [
            Cast("ann", "a", fixed(b=4, c=5)),
            Cast("bob", "b", fixed(a=5, c=4)),
            Cast("cat", "c", fixed(a=3, b=2)),
        ],
        BestOf(NAMES, PeerReview(), "normalised_borda"),
    )
    assert (asked.answer.text, asked.answer.usage.calls) == ("a", 6)
    assert asked.answer.ranking is not None
    assert [asked.answer.ranking.scores[c.id] for c in asked.answer.candidates] == [1.0, 0.5, 0.0]


def test_a_judge_of_its_own_can_be_no_author() -> None:
    judge = Cast("judge", review=by(lambda text: {"a": 1, "b": 5, "c": 2}[text]))
    method = BestOf(NAMES, PeerReview(("judge",)))
    asked = ask([Cast("ann", "a"), Cast("bob", "b"), Cast("cat", "c"), judge], method)
    assert method.asks == (*NAMES, "judge")
    assert (asked.answer.text, asked.answer.usage.calls) == ("b", 4)
    assert [stage for stage, _ in judge.asked] == ["review"]


def test_a_judge_that_fails_leaves_the_pools_order_and_says_so() -> None:
    judge = Cast("judge", review=Reply(fail=FailureKind.HTTP, error="HTTP 500"))
    asked = ask([Cast("ann", "a"), Cast("bob", "b"), Cast("cat", "c"), judge], BestOf(NAMES, PeerReview(("judge",))))
    assert (asked.answer.text, asked.answer.how) == ("a", "ranked")
    assert asked.answer.notes == ("every ballot abstained, so the order is the pool's",)
    assert [f.error for f in asked.answer.failures] == ["HTTP 500"]


def test_nothing_is_fused() -> None:
    players = [Cast("ann", "a"), Cast("bob", "b"), Cast("cat", "c")]
    ask(players, BestOf(NAMES, PeerReview()))
    assert [player.prompts("fuse") for player in players] == [[], [], []]


def test_an_unknown_rule_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(ConfigError, match="there is no ranking rule 'bordo'; choose one of average_vote, borda, "):
        BestOf(NAMES, rule="bordo")
