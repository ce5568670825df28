"""The majority's answer, and what is said when there is none."""

from __future__ import annotations

import pytest
from scripted_committee import Cast, ask

from coterie import Answer, Limits, Reply, Vote
from coterie.cli.report import of_answer
from coterie.types import FailureKind


def voted(*texts: str, limits: Limits | None = None) -> Answer:
    names = tuple(f"m{n}" for n in range(len(texts)))
    members = [Cast(name, text) for name, text in zip(names, texts, strict=True)]
    return ask(members, Vote(names), limits or Limits()).answer


def test_the_majority_wins_in_the_words_of_its_first_author() -> None:
    answer = voted("Rome", "Paris.", "paris", "The Paris")
    assert (answer.text, answer.candidate.author, answer.how) == ("Paris.", "m1", "voted")
    assert answer.notes == ()
    assert answer.usage.calls == 4


def test_a_vote_writes_its_shares_as_the_ranking() -> None:
    answer = voted("Rome", "Paris", "Paris")
    assert answer.ranking is not None
    assert [c.author for c in answer.candidates] == ["m1", "m2", "m0"]
    assert [answer.ranking.scores[c.id] for c in answer.candidates] == [2 / 3, 2 / 3, 1 / 3]
    assert [c["rank"] for c in answer.to_json()["candidates"]] == [1, 1, 3]


@pytest.mark.parametrize(
    ("texts", "text", "rivals"),
    [
        (("Rome", "Paris"), "Rome", 2),
        (("Lima", "Rome", "Paris", "paris", "rome"), "Rome", 2),
        (("a1", "b2", "c3"), "a1", 3),
        (("x", "y", "x", "y", "z"), "x", 2),
    ],
)
def test_a_tie_is_broken_by_the_pools_order_and_said(texts: tuple[str, ...], text: str, rivals: int) -> None:
    answer = voted(*texts)
    assert answer.text == text
    assert answer.notes == (f"{rivals} different answers have the most votes; the pool's order decides",)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (("Rome", "Paris.", "paris"), "m1's, as 2 of 3 answers say"),
        (("Lima", "Rome", "Paris", "Paris"), "m2's, as 2 of 4 answers say"),  # the most votes, and no majority
        (("a1", "b2", "c3"), "m0's, the pool's first: no two of 3 answers agree"),
        (("Lima", "Rome", "Paris", "paris", "rome"), "m1's, by the pool's order: 2 answers have 2 of 5 votes each"),
    ],
)
def test_people_read_how_the_vote_went(texts: tuple[str, ...], says: str) -> None:
    assert f"answer ({says})" in map(str, of_answer(voted(*texts)))


def test_members_that_agree_are_no_tie() -> None:
    assert voted("Paris", "paris", "PARIS").notes == ()


def test_the_sign_of_a_number_is_a_vote_of_its_own() -> None:
    assert voted("1", "-1", "-1").text == "-1"


def test_failed_members_have_no_vote() -> None:
    members = [Cast("m0", Reply(fail=FailureKind.HTTP)), Cast("m1", "Rome"), Cast("m2", "Paris"), Cast("m3", "Paris")]
    answer = ask(members, Vote(("m0", "m1", "m2", "m3"))).answer
    assert (answer.text, answer.how) == ("Paris", "voted")
    assert [c.author for c in answer.candidates] == ["m2", "m3", "m1"]


def test_nobody_is_asked_to_review() -> None:
    members = [Cast("m0", "Paris"), Cast("m1", "Rome")]
    ask(members, Vote(("m0", "m1")))
    assert [len(member.asked) for member in members] == [1, 1]
