"""Conversations as rankers read them: as a question, and whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import ConfigError, Message
from coterie.examples.conversation import INSTRUCTION, Turn, answered, asked, paired, source_of


@pytest.mark.parametrize(
    ("turns", "source"),
    [
        ([], ""),
        ([Message("user", "Why?")], "Why?"),
        ([Message("system", "Be brief."), Message("user", "Why?")], "Be brief.Why?"),
        ([Message("developer", "A. "), Message("user", "Why?"), Message("system", "B. ")], "A. B. Why?"),
        ([{"role": "user", "content": "Why?"}], "Why?"),
        ([{"role": "assistant", "content": None}], ""),
        ([{"role": "user", "content": [{"type": "text", "text": "Wh"}, {"type": "text", "text": "y?"}]}], "Why?"),
        (
            [Message("user", "Who?"), Message("assistant", "Goethe."), {"role": "User", "content": "When?"}],
            "USER: Who?\nASSISTANT: Goethe.\nUSER: When?",
        ),
        ([Message("system", "S."), Message("user", "a"), Message("tool", "b")], "S.USER: a\nTOOL: b"),
    ],
)
def test_what_candidates_answer(turns: list[Turn], source: str) -> None:
    assert source_of(turns) == source


def test_a_whole_conversation_is_gaps_and_what_fills_them() -> None:
    assert asked(["Who?", "When?"]) == "USER: Who?\nAssistant: <Response 1>\nUSER: When?\nAssistant: <Response 2>"
    assert answered(["Goethe.", ""]) == "<Response 1>: Goethe.\n<Response 2>: "
    assert INSTRUCTION.split()[3] == "coversation"  # as in the published ranker's training


SAID = st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=4)


@given(SAID)
def test_two_conversations_share_their_question(said: list[tuple[str, str, str]]) -> None:
    a, b = ([turn for row in said for turn in (Message("user", row[0]), Message("assistant", row[n]))] for n in (1, 2))
    source, left, right = paired(a, b)
    assert source == INSTRUCTION + asked([user for user, _, _ in said])
    assert (left, right) == (answered([x for _, x, _ in said]), answered([y for _, _, y in said]))


@pytest.mark.parametrize("turn", [{"role": "user"}, {"content": "x"}, {}, "USER: x", 3])
def test_what_is_no_turn_is_refused(turn: Turn) -> None:
    with pytest.raises(ConfigError, match="a turn has a role and a content"):
        source_of([turn])
