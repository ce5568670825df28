"""Agreement: equal answers find each other, whatever does not change an answer."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.judges.agreement import Agreement, normal_form
from coterie.run import LiveRun
from coterie.types import Candidate, Judgement, Request

REQUEST = Request.of("What is the capital of France?")


def judged(*texts: str) -> Judgement:
    candidates = [Candidate(f"c{n}", f"m{n}", text) for n, text in enumerate(texts, 1)]
    [judgement] = asyncio.run(Agreement().judge(REQUEST, candidates, LiveRun(REQUEST, {})))
    return judgement


def test_a_candidate_scores_the_share_that_says_the_same() -> None:
    assert judged("Paris", "Rome", "paris.", "PARIS!") == Judgement(
        "agreement", ("c1", "c2", "c3", "c4"), (0.75, 0.25, 0.75, 0.75)
    )


def test_an_answer_alone_agrees_with_itself() -> None:
    assert judged("Paris").scores == (1.0,)


def test_answers_that_all_differ_share_nothing() -> None:
    assert judged("1", "2", "3", "4").scores == (0.25, 0.25, 0.25, 0.25)


def test_without_candidates_there_is_nothing_to_say() -> None:
    assert judged() == Judgement("agreement", (), ())


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Paris", "paris"),
        (" The  Eiffel\n Tower. ", "eiffel tower"),
        ("An apple, a pear", "apple pear"),
        ("theatre another", "theatre another"),
        ("A", "a"),
        ("the a an", "the a an"),
        ("“Paris”", "paris"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ｐａｒｉｓ", "paris"),
        ("\u0065\u0301te\u0301", "été"),
        ("ﬁne", "fine"),
        ("巴黎。", "巴黎"),
        ("well-known", "well known"),
        ("3.14", "3 14"),
        ("?!", "?!"),
        ("x\u200by", "x y"),
        ("", ""),
    ],
)
def test_the_normal_form_drops_what_does_not_change_an_answer(text: str, form: str) -> None:
    assert normal_form(text) == form


@pytest.mark.parametrize(("x", "y"), [("3", "4"), ("+1", "1"), ("yes", "no"), ("Paris", "Paris, Texas"), ("!", "?")])
def test_different_answers_stay_different(x: str, y: str) -> None:
    assert normal_form(x) != normal_form(y)


def test_a_minus_sign_changes_an_answer() -> None:
    assert normal_form("-1") != normal_form("1")
    assert normal_form("−1") == normal_form("-1")
    assert normal_form("1-2") == normal_form("1–2")


def test_a_huge_answer_is_compared_quickly() -> None:
    began = time.perf_counter()
    assert judged("Paris " * (1 << 20), "paris. " * (1 << 20)).scores == (1.0, 1.0)
    assert time.perf_counter() - began < 5


@settings(max_examples=100)
@given(text=st.text())
def test_a_normal_form_is_its_own(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@settings(max_examples=100)
@given(text=st.text(st.characters(categories=["L", "N"], codec="utf-8"), min_size=1))
def test_letters_and_digits_are_never_lost(text: str) -> None:
    assert normal_form(text)
