"""What a run's ballots tell of themselves: in the trace, in the answer as JSON, and on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_committee import Cast, ask, fixed

from coterie import PeerBlend, PeerReview, Trace
from coterie.cli.report import signals_line
from coterie.judges.length import Length
from coterie.methods.best_of import BestOf
from coterie.types import BallotMode

NAMES = ("ann", "bob", "cat", "dan")
AGREED = fixed(aaaa=4, bbb=3, cc=2, d=1)
"""Longer answers are better, and everybody says so."""


def cast() -> list[Cast]:
    return [Cast(name, text, AGREED) for name, text in zip(NAMES, ("aaaa", "bbb", "cc", "d"), strict=True)]


def test_reviewers_who_agree_are_seen_to_and_so_is_what_they_prefer(tmp_path: Path) -> None:
    asked = ask(cast(), PeerBlend(NAMES))
    [signals] = asked.trace.signals.values()
    assert signals.concordance == pytest.approx(1.0)
    assert signals.length_bias == pytest.approx(1.0)
    assert signals.margin is not None
    assert signals.margin > 0
    assert [ballot.reviewer for ballot in signals.ballots] == list(NAMES)
    assert {ballot.agreement for ballot in signals.ballots} == {1.0}
    assert all(ballot.position_bias is not None for ballot in signals.ballots)
    asked.trace.save(tmp_path / "run.jsonl")
    assert Trace.load(tmp_path / "run.jsonl").signals == asked.trace.signals
    [told] = asked.answer.to_json()["signals"]
    assert (told["concordance"], len(told["ballots"])) == (signals.concordance, 4)
    assert "agreement (Kendall's W) +1.00" in signals_line(signals)


def test_answers_that_are_reviewed_one_by_one_have_no_places() -> None:
    players = [player.member(likelihoods={"aaaa": -1.0, "bbb": -2.0, "cc": -3.0, "d": -4.0}) for player in cast()]
    asked = ask(players, PeerBlend(NAMES, review=PeerReview(ballot=BallotMode.LIKELIHOOD)))
    [signals] = asked.trace.signals.values()
    assert signals.position_bias is None
    assert {ballot.position_bias for ballot in signals.ballots} == {None}
    assert signals.concordance == pytest.approx(1.0)


def test_a_judge_alone_tells_nothing_of_itself() -> None:
    asked = ask(cast(), BestOf(NAMES, Length()))
    assert asked.trace.signals == {}
    assert asked.answer.to_json()["signals"] == []
