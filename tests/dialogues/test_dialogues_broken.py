"""Files and records that are spoiled: what is said names the file, the record and the field."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_shapes import FILES, written

from coterie import ConfigError
from coterie.dialogues import Dialogue, Question, read
from coterie.dialogues.origin import Origin
from coterie.dialogues.reading import dialogues_of

Spoil = Callable[[Any], object]


def put(*way: str | int, value: object) -> Spoil:
    """A change that sets what stands at the end of `way`."""

    def spoil(content: Any) -> None:
        for step in way[:-1]:
            content = content[step]
        content[way[-1]] = value

    return spoil


def gone(*way: str | int) -> Spoil:
    """A change that takes away what stands at the end of `way`."""

    def spoil(content: Any) -> None:
        for step in way[:-1]:
            content = content[step]
        del content[way[-1]]

    return spoil


STORY = ("data", 0)
PARAGRAPH = ("data", 0, "paragraphs", 0)
LABEL = ("food_1", "turns", 0, "labels", 0)


@pytest.mark.parametrize(
    ("what", "spoil", "said"),
    [
        ("coqa", put(*STORY, "story", value=" "), "story is blank"),
        ("coqa", put(*STORY, "story", value=5), "story should be a text, and is 5"),
        ("coqa", gone(*STORY, "answers"), "answers is missing"),
        ("coqa", put(*STORY, "answers", value="red"), "answers should be a list, and is 'red'"),
        ("coqa", put(*STORY, "answers", 1, value=None), "answers[1] should be a mapping, and is None"),
        ("coqa", gone(*STORY, "answers", 1), "answers has none for turn 2"),
        ("coqa", gone(*STORY, "questions", 1), "answers[1] answers turn 2, which nobody asked"),
        ("coqa", put(*STORY, "questions", value=[]), "answers[0] answers turn 1, which nobody asked"),
        ("coqa", put(*STORY, "additional_answers", "1", 1, "turn_id", value=7), "answers.1[1] answers turn 7, which"),
        ("coqa", put(*STORY, "questions", 1, "turn_id", value=1), "questions[1] is the second for turn 1"),
        ("coqa", put(*STORY, "questions", 1, "turn_id", value="2"), "turn_id should be a whole number, and is '2'"),
        ("coqa", put(*STORY, "questions", 1, "turn_id", value=True), "turn_id should be a whole number, and is True"),
        ("coqa", put(*STORY, "questions", 1, "input_text", value=""), "questions[1].input_text is blank"),
        ("coqa", put(*STORY, "answers", 0, "input_text", value=["a"]), "answers[0].input_text should be a text"),
        ("coqa", put(*STORY, "answers", 0, "input_text", value=""), "first question of '3dr23' has no gold answer"),
        ("quac", put(*PARAGRAPH, "context", value=" CANNOTANSWER"), "paragraphs[0].context is blank"),
        ("quac", put(*PARAGRAPH, "qas", value=[]), "'C_5ab_1' of 'quac' has no questions"),
        ("quac", put(*PARAGRAPH, "qas", 1, "question", value=None), "paragraphs[0].qas[1].question is missing"),
        ("quac", gone(*PARAGRAPH, "qas", 0, "answers", 0, "text"), "qas[0].answers[0].text is missing"),
        ("doqa", put("data", 0, "paragraphs", value={}), "paragraphs should be a list, and is {}"),
        ("convquestions", gone(0, "questions", 0, "answer_text"), "questions[0].answer_text is missing"),
        ("convquestions", put(0, "questions", 0, "answer_text", value=False), "answer_text should be a text, and is F"),
        ("convquestions", put(0, "conv_id", value=[6722]), "conv_id should be a text, and is [6722]"),
        ("atlas-converse", gone(0, "conversations", 1, "value"), "conversations[1].value is missing"),
        ("atlas-converse", put(0, "conversations", value="Hi"), "conversations should be a list, and is 'Hi'"),
        ("inscit", put("food_1", "turns", 0, "context", value=[]), "turns[0].context ends with no question"),
        ("inscit", gone(*LABEL, "responseType"), "turns[0].labels[0].responseType is missing"),
        ("own", gone(0, "dataset"), "dataset is missing"),
        ("own", put(0, "turns", 1, "answers", value="Como"), "turns[1].answers should be a list, and is 'Como'"),
        ("own", put(0, "turns", 0, "answers", value=[]), "the first question of 'c-1' has no gold answer"),
        ("own", put(0, "turns", value=[]), "'c-1' of 'mine' has no questions"),
        ("own", put(0, "turns", 0, "response_types", value=["a"]), "response_types are ['a'] for 2 answers"),
        ("own", put(0, "turns", 1, "response_types", value=["a", "b"]), "response_types are ['a', 'b'] for 1 answers"),
        ("own", put(0, "turns", 0, "evidence", value=5), "turns[0].evidence should be a list, and is 5"),
    ],
)
def test_a_spoiled_record_is_named_with_its_field(tmp_path: Path, what: str, spoil: Spoil, said: str) -> None:
    name, content = FILES[what]
    spoiled = json.loads(json.dumps(content))
    spoil(spoiled)
    with pytest.raises(ConfigError, match=f"record 1 of .*{name}' is no dialogue: .*{re.escape(said)}"):
        read(written(tmp_path, name, spoiled))


def test_a_record_has_its_number(tmp_path: Path) -> None:
    name, (good,) = FILES["own"]
    with pytest.raises(ConfigError, match=r"record 2 of .* it should be a mapping, and is 'text'"):
        read(written(tmp_path, name, [good, "text"]))
    with pytest.raises(ConfigError, match=r"none of the keys story, .* but 'plot'; the formats of .* quac are known"):
        read(written(tmp_path, name, [good, {"plot": "x"}]))


def test_an_id_names_one_conversation(tmp_path: Path) -> None:
    name, (good,) = FILES["own"]
    with pytest.raises(ConfigError, match=r"record 3 of .* an earlier one has the id 'c-1' too"):
        read(written(tmp_path, name, [good, {**good, "conversation_id": "c-2"}, good]))
    assert len(read(written(tmp_path, name, [good, {**good, "dataset": "others"}]))) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b'{"data": [', "is no JSON"),
        (b'{"turns": []}\n{"turns"\n', "line 2 of "),
        (b"[" * 100_000, "is no JSON"),
        (b'{"data": "\xff"}', "cannot be read"),
        (b"\x1f\x8b garbage", "cannot be read"),
        (gzip.compress(b'{"data": []}' * 50)[:-9], "cannot be read"),
        (b"[]", "holds no dialogue"),
        (b'{"data": []}', "holds no dialogue"),
        (b'[{"id": "1", "conversations": []}]', "holds no dialogue"),
        (b"{}", "none of the keys .* but nothing"),
        (b"5", "it should be a mapping, and is 5"),
    ],
)
def test_a_broken_file_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "data.json").write_bytes(content)
    with pytest.raises(ConfigError, match=f"data.json.*{said}|{said}.*data.json"):
        read(str(tmp_path / "data.json"))


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        read(str(tmp_path / "absent.json"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["input_text", "turn_id", "question", "answers", "answer_text", "from", "value", "text", "context", "labels"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
KEYS = ["story", "paragraphs", "conversations", "seedArticle", "turns", "questions", "answers", "dataset", "id"]


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_any_record_is_read_or_refused(record: dict[str, Any]) -> None:
    try:
        found = list(dialogues_of(record, Origin("data.json")))
    except (ConfigError, ValueError):
        return
    assert all(dialogue.questions and dialogue.dataset for dialogue in found)


def test_a_dialogue_has_questions_with_words_and_kinds_go_with_answers() -> None:
    for blank in (("  ",), ("Why?", ("So.", "")), ("Why?", ("\n",))):
        with pytest.raises(ValueError, match="neither a question nor an answer is blank"):
            Question(*blank)
    with pytest.raises(ValueError, match="'c-1' of 'mine' has no questions"):
        Dialogue("mine", "c-1", ())
    with pytest.raises(ValueError, match="1 kinds were given for 0 answers to 'Why\\?'"):
        Question("Why?", kinds=("directAnswer",))
