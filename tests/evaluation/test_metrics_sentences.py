"""Sentences and chunks: golden splits, what every split keeps, and the time it takes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.evaluation.metrics.chunks import chunks
from coterie.evaluation.metrics.sentences import sentences

PIECES = [
    "Dr.",
    "U.S.",
    "e.g.",
    "cat",
    "The",
    "he",
    "...",
    "…",
    "?",
    "!",
    ".",
    '."',
    "\n",
    "\n\n",
    " ",
    "1.",
    "- ",
    "。",
    "他",
]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join))


@pytest.mark.parametrize(
    "wanted",
    [
        ["Dr. Smith met Mrs. Jones.", "They talked."],
        ["J. K. Rowling wrote it.", "So did I.", "He read it."],
        ["He joined the U.S. Army.", "He lives in the U.S.", "It is large."],
        ["It began at 5 p.m.", "The end came at 6 a.m. on Monday."],
        ["Fruit, e.g. Apples or pears, i.e. Food, etc. Nothing."],
        ["Apples, pears, etc.", "The rest is gone."],
        ["See No. 5 and pp. 3 to 7.", "No.", "Never."],
        ["Roe v. Wade and cats vs. Dogs.", "Fig. 3 shows it."],
        ["It costs $3.50 at www.example.com today.", "Really?", "Yes!"],
        ["Wait... what?", "Well…", "Then go."],
        ["And so...", "Dr. No came.", "What?!", "Yes!!"],
        ['"Really?" he asked.', '"Yes."', "Then he went."],
        ["“Stop!” she said.", "“Go.”", "(He went.)", "[He did.]", "Away."],
        ["«Oui.»", "Il part.", "¿Qué?", "¡Sí!"],
        ["他走了。", "“好。”", "他说。", "真的吗？", "是！"],
        ["これはペンです。", "あれは本です！", "はい"],
        ["ما هذا؟", "نعم.", "لا"],
        ["एक।", "दो।"],
        ["Vitamin C.", "The next one.", "Apple Inc. Makes them."],
        ["No end here"],
    ],
)
def test_sentences_by_hand(wanted: list[str]) -> None:
    text = " ".join(wanted)
    assert sentences(text) == wanted
    assert sentences(f"  {text}\n") == wanted


def test_chinese_sentences_need_no_space() -> None:
    assert sentences("他走了。“好！”他说。真的吗？") == ["他走了。", "“好！”", "他说。", "真的吗？"]
    assert sentences("１０．５") == ["１０．", "５"]  # a full-width stop is one


def test_lists_and_paragraphs_are_sentences() -> None:
    text = "It has three parts:\n- a roof\n- a door. It opens\n 1. a wall\n2) a floor\n\nA line\nthat goes on"
    assert sentences(text) == [
        "It has three parts:",
        "- a roof",
        "- a door.",
        "It opens",
        "1. a wall",
        "2) a floor",
        "A line\nthat goes on",
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t \n"])
def test_nothing_has_no_sentence(text: str) -> None:
    assert sentences(text) == []


@given(text=TEXTS)
@settings(max_examples=400, deadline=None)
def test_only_white_space_is_lost(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in found)


@pytest.mark.parametrize(
    "text",
    [
        "." * 200_000 + "x",
        '..."' * 50_000,
        "\n " * 100_000,
        "\n" * 200_000,
        "End." + " " * 100_000 + "x. y. z. " * 20_000,
        "Dr. " * 100_000,
        "。" * 200_000,
        "1. " * 100_000,
        "x" * 200_000 + ". Y",
    ],
)
def test_no_text_takes_a_time_that_grows_with_its_square(text: str) -> None:
    began = time.perf_counter()
    sentences(text)
    assert time.perf_counter() - began < 5  # a square would be minutes


# ---- chunks -----------------------------------------------------------------------------------


def text_of(*lengths: int) -> tuple[str, list[str]]:
    """A text of sentences with so many words, and these."""
    made = [" ".join([f"Word{n}", *["word"] * (length - 2), "end."]) for n, length in enumerate(lengths)]
    return " ".join(made), made


@pytest.mark.parametrize(
    ("lengths", "words", "wanted"),
    [
        ((5, 5, 5), 350, [[0, 1, 2]]),
        ((5, 5), 10, [[0], [1]]),  # ten words call for two chunks of ten
        ((5, 4), 10, [[0, 1]]),
        ((4, 4, 4, 4, 4), 10, [[0], [1], [2], [3], [4]]),  # three chunks of five sentences: one each
        ((3, 3, 3, 3, 3, 3, 3), 10, [[0, 1], [2, 3], [4, 5], [6]]),
        ((40,), 10, [[0]]),
        ((350, 350, 350, 350), 350, [[0], [1], [2], [3]]),
    ],
)
def test_chunks_by_hand(lengths: tuple[int, ...], words: int, wanted: list[list[int]]) -> None:
    text, made = text_of(*lengths)
    assert chunks(text, words) == [" ".join(made[n] for n in of) for of in wanted]


def test_chunks_of_text_without_spaces_are_counted_in_characters() -> None:
    made = [f"{mark * 4}。" for mark in "一二三四五六"]
    assert chunks("".join(made), 350) == [" ".join(made)]
    assert chunks("".join(made), 15) == [" ".join(made[n : n + 2]) for n in (0, 2, 4)]


def test_a_text_has_one_chunk_at_least() -> None:
    assert chunks("", 350) == [""]
    assert chunks("one", 350) == ["one"]


@given(text=TEXTS, words=st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_chunks_are_the_sentences_in_their_order(text: str, words: int) -> None:
    assert "".join("".join(chunks(text, words)).split()) == "".join(text.split())
