"""How a question is put: history, head, passages, and that every turn begins as the turn before did."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import ConfigError
from coterie.dialogues import CLOSED_BOOK, OPEN_BOOK, Dialogue, Interview, Question, history
from coterie.types import Message, Sampling

BOAT = Dialogue(
    "mine",
    "c-1",
    (Question("What has Ann?", ("a boat", "a ship")), Question("Where?", ("unknown",)), Question("Why?", ("for joy",))),
    passage="Ann has a boat.",
    title="Boats",
    background="Ann is old.",
)


def texts(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


def test_the_gold_history_is_questions_and_main_answers() -> None:
    assert history(BOAT, 1) == ()
    assert texts(history(BOAT, 3)) == [
        ("user", "What has Ann?"),
        ("assistant", "a boat"),
        ("user", "Where?"),
        ("assistant", "unknown"),
    ]


def test_the_own_history_has_the_answers_that_were_made() -> None:
    assert [text for _, text in texts(history(BOAT, 3, ["A yacht.", "On a lake."]))[1::2]] == ["A yacht.", "On a lake."]
    assert [text for _, text in texts(history(BOAT, 3, [None, " "]))[1::2]] == ["unknown", "unknown"]


def test_a_history_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="'c-1' of 'mine' has turns 1 to 3, not 4"):
        history(BOAT, 4)
    with pytest.raises(ConfigError, match="has turns 1 to 3, not 0"):
        Interview().messages(BOAT, 0)
    with pytest.raises(ConfigError, match="turn 3 of 'c-1' of 'mine' goes on from 2 answers, and 1 were given"):
        history(BOAT, 3, ["A yacht."])
    unanswered = Dialogue("mine", "c-2", (Question("Why?"), Question("And then?")))
    with pytest.raises(ConfigError, match="turn 1 of 'c-2' of 'mine' has no gold answer to go on from"):
        history(unanswered, 2)
    assert texts(history(unanswered, 2, ["So."])) == [("user", "Why?"), ("assistant", "So.")]


def test_the_passage_stands_on_top_of_the_first_question() -> None:
    assert texts(Interview().messages(BOAT, 2)) == [
        ("user", f"{OPEN_BOOK}\n\nTopic: Boats\n\nPassage:\nAnn has a boat.\n\nQuestion: What has Ann?"),
        ("assistant", "a boat"),
        ("user", "Where?"),
    ]


def test_or_in_a_system_message() -> None:
    assert texts(Interview(place="system").messages(BOAT, 1)) == [
        ("system", f"{OPEN_BOOK}\n\nTopic: Boats\n\nPassage:\nAnn has a boat."),
        ("user", "What has Ann?"),
    ]


def test_closed_book_shows_no_passage() -> None:
    shown = ("user", f"{CLOSED_BOOK}\n\nTopic: Boats\n\nQuestion: What has Ann?")
    assert texts(Interview(closed_book=True).messages(BOAT, 1)) == [shown]
    assert texts(Interview().messages(Dialogue("mine", "c", BOAT.questions, title="Boats"), 1)) == [shown]


def test_the_instruction_can_be_replaced_or_left_out() -> None:
    assert Interview(instruction="Be kind.", background=True).messages(BOAT, 1)[0].text == (
        "Be kind.\n\nTopic: Boats\n\nBackground:\nAnn is old.\n\nPassage:\nAnn has a boat.\n\nQuestion: What has Ann?"
    )
    bare = Dialogue("mine", "c", BOAT.questions)
    for interview in (Interview(instruction=""), Interview(instruction=" ", place="system")):
        assert texts(interview.messages(bare, 1)) == [("user", "What has Ann?")]


def test_the_passages_of_a_turn_stay_with_it() -> None:
    per_turn = Dialogue(
        "inscit", "c", (Question("A?", ("a",), passages=("One.", "Two.")), Question("B?", ("b",), passages=("Three.",)))
    )
    assert texts(Interview().messages(per_turn, 2)) == [
        ("user", f"{OPEN_BOOK}\n\nPassages:\n\nOne.\n\nTwo.\n\nQuestion: A?"),
        ("assistant", "a"),
        ("user", "Passages:\n\nThree.\n\nQuestion: B?"),
    ]
    assert texts(Interview(closed_book=True).messages(per_turn, 2))[2] == ("user", "B?")
    assert [per_turn.context(turn) for turn in (1, 2)] == ["One.\n\nTwo.", "Three."]


def test_a_request_is_the_messages() -> None:
    own = Interview(history="own")
    request = own.request(BOAT, 2, ["A yacht."], Sampling(max_tokens=32))
    assert request.messages == own.messages(BOAT, 2, ["A yacht."])
    assert (request.messages[1].text, request.sampling.max_tokens) == ("A yacht.", 32)
    assert Interview().messages(BOAT, 2, ["A yacht."]) == Interview().messages(BOAT, 2)


@pytest.mark.parametrize("field", [{"history": "none"}, {"place": "head"}])
def test_another_way_to_ask_is_refused(field: dict[str, Any]) -> None:
    ((name, value),) = field.items()
    with pytest.raises(ValueError, match=f"{name} is one of '.*', not '{value}'"):
        Interview(**field)


WORDS = st.text(min_size=1, max_size=20).filter(str.strip)
QUESTIONS = st.builds(
    Question, WORDS, st.tuples(WORDS), passages=st.lists(WORDS, max_size=2).map(tuple)
)  # fmt: skip
DIALOGUES = st.builds(
    Dialogue,
    st.just("mine"),
    st.just("c"),
    st.lists(QUESTIONS, min_size=1, max_size=5).map(tuple),
    passage=st.text(max_size=20),
    title=st.text(max_size=5),
    background=st.text(max_size=5),
)
INTERVIEWS = st.builds(
    Interview,
    st.sampled_from(["gold", "own"]),
    st.none() | st.text(max_size=10),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["user", "system"]),
)


@given(DIALOGUES, INTERVIEWS, st.lists(st.none() | st.text(max_size=10), min_size=5, max_size=5))
def test_every_turn_begins_as_the_turn_before(dialogue: Dialogue, interview: Interview, said: list[str | None]) -> None:
    turns = range(1, len(dialogue.questions) + 1)
    asked = [interview.messages(dialogue, turn, said[: turn - 1]) for turn in turns]
    for before, after in pairwise(asked):
        assert after[: len(before)] == before
        assert [message.role for message in after[len(before) :]] == ["assistant", "user"]
    for turn, messages in zip(turns, asked, strict=True):
        talk = messages[messages[0].role == "system" :]
        assert [message.role for message in talk] == ["user", "assistant"] * (turn - 1) + ["user"]
        assert all(message.text.strip() for message in talk[1::2])
        assert messages[-1].text.endswith(dialogue.questions[turn - 1].text)
        shown = "".join(message.text for message in messages)
        assert interview.closed_book or dialogue.passage in shown


@given(DIALOGUES.filter(lambda dialogue: len(dialogue.questions) > 1), INTERVIEWS)
def test_no_later_question_is_shown(dialogue: Dialogue, interview: Interview) -> None:
    marked = Dialogue(
        dialogue.dataset,
        dialogue.id,
        (*dialogue.questions[:-1], Question("☂?", ("☂!",), passages=("☂☂",))),
        passage=dialogue.passage.replace("☂", ""),
    )
    turn = len(marked.questions) - 1
    messages = interview.messages(marked, turn, ["so"] * (turn - 1))
    assert all("☂" not in message.text for message in messages if "☂" not in str(dialogue) + str(interview))
