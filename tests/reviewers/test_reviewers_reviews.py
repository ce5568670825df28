"""Reviews out of traces: what counts as one, and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from coterie.errors import TraceError
from coterie.reviewers import Battle, Review, Tally, agreements, reviews_of
from coterie.trace import CandidateOffered, Event, JudgementMade, RunStarted, Trace
from coterie.types import Candidate, Card, Judgement, Limits, Request

MEMBERS = ("ann", "bob", "cyd")
ANSWERS = [Candidate(f"c{n}", name, f"says {name}") for n, name in enumerate(MEMBERS, 1)]


def trace(judgements: Sequence[Judgement], answers: Sequence[Candidate] = ANSWERS, run: str = "r1") -> Trace:
    cards = tuple(Card(name) for name in MEMBERS)
    events: list[Event] = [RunStarted(0.0, run, "default", {}, Request.of("?"), cards, Limits(), 0, "")]
    events += [CandidateOffered(0.0, answer) for answer in answers]
    events += [JudgementMade(0.0, f"j{n}", judgement) for n, judgement in enumerate(judgements)]
    return Trace(tuple(events))


def test_a_ballot_is_a_review_of_all_pairs_but_those_with_its_own_answer() -> None:
    ballot = Judgement("ann", ("c3", "c1", "c2"), (4.0, 5.0, 2.0))
    assert reviews_of(trace([ballot])) == [Review("r1", "ann", (Battle("cyd", "bob", 1),))]


def test_a_tie_is_a_battle_that_nobody_won() -> None:
    ballot = Judgement("ann", ("c2", "c3"), (3.0, 3.0))
    assert reviews_of(trace([ballot])) == [Review("r1", "ann", (Battle("bob", "cyd", 0),))]


def test_judgements_of_one_reviewer_are_one_review() -> None:
    both = [Judgement("ann", ("c2", "c3"), (1.0, -1.0)), Judgement("ann", ("c3", "c2"), (-1.0, 1.0))]
    (review,) = reviews_of(trace(both))
    assert review.battles == (Battle("bob", "cyd", 1), Battle("cyd", "bob", -1))


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement.abstain("ann", "ill"),
        Judgement("ann", ("c2",), (3.0,)),
        Judgement("ann", ("c1", "c2"), (5.0, 3.0)),
        Judgement("pair_ranker", ("c2", "c3"), (1.0, 0.0)),
        Judgement("ann", ("c2", "c9"), (1.0, 0.0)),
    ],
    ids=["abstention", "one answer", "its own beside one other", "no member", "no answer of that id"],
)
def test_what_tells_nothing_of_two_others_is_no_review(judgement: Judgement) -> None:
    assert reviews_of(trace([judgement])) == []


def test_fused_answers_and_two_by_one_author_do_not_meet() -> None:
    fused = Candidate("c4", "bob", "fused", parents=("c1", "c3"))
    second = Candidate("c5", "bob", "another")
    ballot = Judgement("ann", ("c2", "c4", "c5"), (1.0, 2.0, 3.0))
    assert reviews_of(trace([ballot], [*ANSWERS, fused, second])) == []
    wider = Judgement("ann", ("c2", "c5", "c3"), (1.0, 2.0, 3.0))
    (review,) = reviews_of(trace([wider], [*ANSWERS, second]))
    assert review.battles == (Battle("bob", "cyd", -1), Battle("bob", "cyd", -1))


def test_a_trace_without_a_beginning_is_refused() -> None:
    with pytest.raises(TraceError, match="no 'run_started' event"):
        reviews_of(Trace(()))


# ---- summed up --------------------------------------------------------------------------------


def said(reviewer: str, *battles: tuple[str, str, int], run: str = "r1") -> Review:
    return Review(run, reviewer, tuple(Battle(*battle) for battle in battles))


def test_a_tally_counts_wins_by_author_and_reviewer() -> None:
    tally = Tally.of([said("a", ("b", "c", 1)), said("b", ("a", "c", 0)), said("a", ("c", "b", -1))])
    assert tally.won == {"a": {"b": 0.5}, "b": {"a": 2.0}, "c": {"a": 0.0, "b": 0.5}}
    assert tally.fought == {"a": {"b": 1.0}, "b": {"a": 2.0}, "c": {"a": 2.0, "b": 1.0}}
    assert tally.reviews == {"a": 2, "b": 1}
    assert tally.peers == ("a", "b")


def test_a_win_rate_is_weighted_and_divided_as_told() -> None:
    tally = Tally.of([said("a", ("b", "c", 1)), said("d", ("c", "b", 1))])
    weights = {"a": 1.5, "d": 0.5}
    assert tally.win_rate("b", weights, "weights") == pytest.approx(1.5 / 2)
    assert tally.win_rate("b", weights, "battles") == pytest.approx(1.5 / 2)
    assert tally.win_rate("b", {"a": 3.0}, "battles") == pytest.approx(3 / 2)
    assert tally.win_rate("b", {"a": 3.0}, "weights") == 1.0
    assert tally.win_rate("b", {}, "weights") == 0.5  # nobody weighs anything, so all weigh alike
    assert tally.win_rate("a", weights, "weights") is None


def test_agreement_is_with_most_of_the_others_on_one_question() -> None:
    reviews = [
        said("w", ("x", "y", 1)),
        said("v", ("y", "x", -1)),
        said("u", ("x", "y", -1)),
        said("w", ("x", "y", -1), run="r2"),
        said("t", ("x", "y", 0), run="r2"),
    ]
    # On r1 w and v face one for and one against, which decides nothing; u faces two against it.
    assert agreements(reviews) == {"u": 0.0}
    assert agreements([*reviews, said("s", ("x", "y", 1))]) == {"s": 1.0, "u": 0.0, "v": 1.0, "w": 1.0}
