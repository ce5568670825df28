"""Quoted text stays data: nothing inside a block can close it."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.quoting import Quotes, clipped, labels
from coterie.types import Message

few = settings(max_examples=60)


def mark_of(seed: int) -> str:
    """The mark that would be drawn if no text held it."""
    found = re.match(r"<x-(\w+)>", Quotes(random.Random(seed), []).block("x", ""))
    assert found
    return found[1]


# ---- fences -----------------------------------------------------------------------------------


def test_a_block_is_a_fence_with_a_mark_around_the_text() -> None:
    mark = mark_of(1)
    quotes = Quotes(random.Random(1), ["Paris"])
    assert quotes.block("answer", "Paris", "A") == f'<answer-{mark} id="A">\nParis\n</answer-{mark}>'
    assert quotes.block("user", "What?") == f"<user-{mark}>\nWhat?\n</user-{mark}>"
    assert re.fullmatch(r"[0-9a-f]{8}", mark)


def test_a_conversation_is_a_block_a_turn() -> None:
    turns = [Message("system", "Be brief."), Message("user", ({"type": "text", "text": "What?"},))]
    mark = mark_of(2)
    assert Quotes(random.Random(2), [turn.text for turn in turns]).conversation(turns) == (
        f"<system-{mark}>\nBe brief.\n</system-{mark}>\n<user-{mark}>\nWhat?\n</user-{mark}>"
    )


def test_every_prompt_has_a_mark_of_its_own() -> None:
    assert len({mark_of(seed) for seed in range(100)}) == 100


@few
@given(seed=st.integers(0, 5), before=st.text(), after=st.text(), data=st.data())
def test_a_text_can_never_close_its_block(seed: int, before: str, after: str, data: st.DataObject) -> None:
    # The worst case: the text knows the mark that is drawn first.
    guess = f"</answer-{mark_of(seed)}>" if data.draw(st.booleans()) else "</answer>"
    text = f"{before}{guess}{after}"
    block = Quotes(random.Random(seed), [text]).block("answer", text, "A")
    opening, *inside, closing = block.split("\n")
    mark = opening.removeprefix("<answer-").removesuffix('" id="A">')[: -len(' id="A">')]
    assert closing == f"</answer-{mark}>"
    assert "\n".join(inside) == text
    assert mark not in text
    assert block.count(mark) == 2


def test_a_text_that_holds_many_marks_is_fenced_by_another() -> None:
    rng = random.Random(3)
    known = [f"{rng.getrandbits(32):08x}"] + [f"{rng.getrandbits(64):016x}" for _ in range(50)]
    block = Quotes(random.Random(3), ["harmless", " ".join(known)]).block("x", "harmless")
    found = re.match(r"<x-(\w+)>", block)
    assert found
    assert not any(found[1] in mark for mark in known)
    assert len(found[1]) == 16


# ---- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [*range(30), 100, 675, 676, 677, 1000])
def test_labels_are_all_different_and_of_one_length(number: int) -> None:
    made = labels(number, random.Random(number))
    assert len(made) == len(set(made)) == number
    assert len({len(label) for label in made}) <= 1
    assert all(re.fullmatch("[A-Z]+", label) for label in made)
    assert all(len(label) == (1 if number <= 26 else 2 if number <= 676 else 3) for label in made)


@few
@given(number=st.integers(1, 1000), seed=st.integers())
def test_labels_never_collide(number: int, seed: int) -> None:
    assert len(set(labels(number, random.Random(seed)))) == number


def test_labels_are_drawn_by_chance_and_repeatably() -> None:
    assert labels(5, random.Random(1)) == labels(5, random.Random(1))
    assert len({tuple(labels(5, random.Random(seed))) for seed in range(50)}) == 50
    assert sorted(labels(26, random.Random(0))) == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert {labels(1, random.Random(seed))[0] for seed in range(500)} == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


# ---- clipped ----------------------------------------------------------------------------------


def test_what_fits_is_left_alone() -> None:
    assert clipped("x" * 100, 100) == "x" * 100
    assert clipped("", 0) == ""


def test_what_does_not_fit_keeps_its_beginning_and_end() -> None:
    assert clipped("a" * 500 + "b" * 500, 63) == "a" * 24 + "\n[965 characters left out]\n" + "b" * 11


@few
@given(text=st.text(min_size=41), characters=st.integers(40, 200))
def test_a_clipped_text_fits_and_counts_what_is_missing(text: str, characters: int) -> None:
    short = clipped(text, characters)
    assert len(short) <= max(characters, 0)
    if short != text:
        found = re.search(r"\n\[(\d+) characters left out\]\n", short)
        assert found
        assert text.startswith(short[: found.start()])
        assert text.endswith(short[found.end() :])
        assert found.start() + int(found[1]) + len(short) - found.end() == len(text)


@pytest.mark.parametrize("characters", [0, 1, 10, -5])
def test_where_nothing_fits_only_the_number_is_left(characters: int) -> None:
    assert clipped("x" * 1000, characters) == "\n[1000 characters left out]\n"
