"""Reading dialogues: every published format, and every kind of file it may stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from official_shapes import ATLAS, CONVQUESTIONS, COQA, FILES, INSCIT, OWN, QUAC, STORY, written

from coterie import ConfigError
from coterie.dialogues import DATASETS, Dialogue, Question, fingerprint, read


def read_as(folder: Path, what: str, **options: Any) -> tuple[Dialogue, ...]:
    return read(written(folder, *FILES[what]), **options)


def test_coqa(tmp_path: Path) -> None:
    assert read_as(tmp_path, "coqa") == (
        Dialogue(
            "coqa",
            "3dr23",
            (
                Question("What does Ann have?", ("a boat", "a red boat"), ("a red boat",)),
                Question("Of what colour?", ("red", "red"), ("red",)),
                Question("How old is it?", ("unknown", "unknown", "It’s old")),
            ),
            "mctest",
            STORY,
        ),
    )


def test_coqa_without_other_annotators_and_turn_numbers(tmp_path: Path) -> None:
    (record,) = COQA["data"]
    bare = {key: value for key, value in record.items() if key != "additional_answers"}
    for listed in ("questions", "answers"):
        bare[listed] = [{k: v for k, v in item.items() if k != "turn_id"} for item in record[listed]]
    (dialogue,) = read(written(tmp_path, "train.json", {"data": [bare]}))
    assert [question.answers for question in dialogue.questions] == [("a boat",), ("red",), ("unknown",)]


def test_quac(tmp_path: Path) -> None:
    (dialogue,) = read_as(tmp_path, "quac")
    assert dialogue == Dialogue(
        "quac",
        "C_5ab_1",
        (
            Question("what happened in 1983?", ("In May 1983, she married Nikos Karvelas.", "she married")),
            Question("did they have children?", ("unknown", "unknown", "she married")),
        ),
        "wikipedia",
        "In May 1983, she married Nikos Karvelas.",
        "Anna Vissi, 1983-1989",
        "Anna Vissi is a singer.",
    )
    assert [question.unanswerable for question in dialogue.questions] == [False, True]


def test_an_original_answer_that_is_no_other_annotator_s_comes_first(tmp_path: Path) -> None:
    content = json.loads(json.dumps(QUAC))
    content["data"][0]["paragraphs"][0]["qas"][0]["orig_answer"]["text"] = "She married in 1983."
    (dialogue,) = read(written(tmp_path, "val.json", content))
    assert dialogue.questions[0].answers == (
        "She married in 1983.",
        "she married",
        "In May 1983, she married Nikos Karvelas.",
    )


def test_doqa(tmp_path: Path) -> None:
    assert read_as(tmp_path, "doqa") == (
        Dialogue(
            "doqa",
            "C_64c",
            (Question("What should I do?", ("Mix it less",)),),
            "cooking",
            "Mix it less, since gluten hardens.",
            "How do I keep a cake soft?",
            "I mix the batter for long, and it hardens.",
        ),
    )


@pytest.mark.parametrize(
    ("name", "domain"), [("doqa-travel-test-v2.1.json", "travel"), ("MOVIES.json", "movies"), ("other.json", "")]
)
def test_doqa_s_domain_is_in_the_name_of_the_file(tmp_path: Path, name: str, domain: str) -> None:
    (dialogue,) = read(written(tmp_path, name, FILES["doqa"][1]))
    assert dialogue.domain == domain


def test_which_of_two_data_sets_of_one_shape_it_is_can_be_said(tmp_path: Path) -> None:
    (dialogue,) = read_as(tmp_path, "quac", dataset="doqa")
    assert (dialogue.dataset, dialogue.domain) == ("doqa", "")
    (dialogue,) = read_as(tmp_path, "doqa", dataset="quac")
    assert (dialogue.dataset, dialogue.domain) == ("quac", "wikipedia")


def test_an_article_may_have_been_talked_about_twice(tmp_path: Path) -> None:
    (article,) = QUAC["data"]
    twice = [*article["paragraphs"], {**article["paragraphs"][0], "id": "C_5ab_2"}]
    found = read(written(tmp_path, "val.json", {"data": [{**article, "paragraphs": twice}]}))
    assert [dialogue.id for dialogue in found] == ["C_5ab_1", "C_5ab_2"]


def test_convquestions(tmp_path: Path) -> None:
    assert read_as(tmp_path, "convquestions") == (
        Dialogue(
            "convquestions",
            "6722",
            (
                Question("Where does she travel?", ("Italy, India",)),
                Question("What anime does she like?", ("Steins;Gate",)),
                Question("Published when?", ("2006",)),
            ),
            "books",
            title="Eat, Pray, Love",
        ),
    )


def test_verbal_convquestions(tmp_path: Path) -> None:
    (dialogue,) = read_as(tmp_path, "verbal")
    assert dialogue.questions == (
        Question(
            "Where does she travel?",
            ("Italy, India",),
            verbalized=("She travels to Italy, India.", "Italy, India is where she goes.", "She goes to Rome."),
        ),
    )
    assert dialogue.closed_book


def test_atlas_converse(tmp_path: Path) -> None:
    assert read_as(tmp_path, "atlas-converse") == (
        Dialogue(
            "atlas-converse",
            "1",
            (
                Question("What is applied anthropology?", ("Anthropology that is put to use.",)),
                Question("I see.\nBy whom?", ("By many:\nhospitals, firms.",)),
            ),
            dropped=1,
        ),
    )


@pytest.mark.parametrize("speaker", ["AI", "gpt", "Assistant", "ChatGPT", "bot"])
def test_whoever_is_named_like_a_model_answers(tmp_path: Path, speaker: str) -> None:
    lines = [("system", "Be brief."), ("student", "Why?"), (speaker, "Because."), ("human", " "), ("human", "Oh?")]
    record = {"id": "1", "conversations": [{"from": who, "value": text} for who, text in lines]}
    (dialogue,) = read(written(tmp_path, "convo.json", [record]))
    assert (dialogue.questions, dialogue.dropped) == ((Question("Why?", ("Because.",)),), 1)


def test_inscit(tmp_path: Path) -> None:
    (dialogue,) = read_as(tmp_path, "inscit")
    assert dialogue == Dialogue(
        "inscit",
        "food_1",
        (
            Question(
                "Is it made of soy?",
                ("Some is.", "Which one?"),
                passages=("Cheese is old.", "Some is made of soy."),
                kinds=("directAnswer", "clarification"),
            ),
            Question("Since when?", ("unknown",), kinds=("noAnswerNoRelevantInfo",)),
        ),
        "food",
        title="Cheese",
    )
    assert [question.unanswerable for question in dialogue.questions] == [False, True]
    assert not dialogue.closed_book


def test_a_talk_that_went_on_with_words_of_nobody_keeps_its_first_answer(tmp_path: Path) -> None:
    content = json.loads(json.dumps(INSCIT))
    content["food_1"]["turns"][1]["context"][1] = "Who knows."
    (dialogue,) = read(written(tmp_path, "dev.json", content))
    assert dialogue.questions[0].answers == ("Which one?", "Some is.")


def test_inscit_in_the_layout_of_the_project_is_the_same(tmp_path: Path) -> None:
    (seed,) = INSCIT.values()
    turns = [
        {
            "question": turn["context"][-1],
            "answers": [label["response"] or "unknown" for label in turn["labels"]],
            "response_types": [label["responseType"] for label in turn["labels"]],
            "history": turn["context"][:-1],
            "evidence": list(dict.fromkeys(e["passage_text"] for label in turn["labels"] for e in label["evidence"])),
        }
        for turn in seed["turns"]
    ]
    record = {"dataset": "inscit", "conversation_id": "food_1", "domain": "food", "context": "Cheese", "turns": turns}
    assert read(written(tmp_path, "own.json", [record])) == read_as(tmp_path, "inscit")


def test_the_layout_of_the_project(tmp_path: Path) -> None:
    assert read_as(tmp_path, "own") == (
        Dialogue(
            "mine",
            "c-1",
            (
                Question("What does Ann have?", ("a boat", "a red boat"), ("a red boat",)),
                Question("Where?", ("Lake Como",), verbalized=("She sails on Lake Como.",)),
            ),
            "boats",
            STORY,
        ),
    )


def test_convquestions_in_the_layout_of_the_project(tmp_path: Path) -> None:
    turn = {
        "question": "Where does she travel?",
        "answers": ["Italy;India"],
        "answer_id": CONVQUESTIONS[0]["questions"][0]["answer"],
        "verbalized_answers": [" She travels to Italy;India.", ""],
        "paraphrased_questions": ["Where is she going?"],
    }
    record = {"dataset": "convquestions", "conversation_id": 1, "context": "", "seed_entity": "A book", "turns": [turn]}
    (dialogue,) = read(written(tmp_path, "own.json", [record]))
    assert dialogue == Dialogue(
        "convquestions",
        "1",
        (Question("Where does she travel?", ("Italy, India",), verbalized=("She travels to Italy, India.",)),),
        title="A book",
    )


def test_kinds_of_equal_answers_that_were_stored_once(tmp_path: Path) -> None:
    turns = [
        {"question": "Why?", "answers": ["So."], "response_types": ["directAnswer"] * 2},
        {"question": "Oh?", "answers": ["", "Yes."], "response_types": ["clarification", "directAnswer"]},
    ]
    (dialogue,) = read(written(tmp_path, "own.json", [{"dataset": "inscit", "turns": turns}]))
    assert [question.kinds for question in dialogue.questions] == [("directAnswer",), ("directAnswer",)]


# ---- the files --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "zipped"])
def test_every_kind_of_file_gives_the_same_dialogues(tmp_path: Path, what: str, zipped: bool) -> None:
    name, content = FILES[what]
    expected = read(written(tmp_path, name, content))
    assert read(written(tmp_path, name, content, zipped=zipped)) == expected
    assert read(written(tmp_path, name, content, indent=2, zipped=zipped)) == expected
    (tmp_path / name).write_text(f"\ufeff\n {json.dumps(content)}\n\n", encoding="utf-8")
    assert read(str(tmp_path / name)) == expected


@pytest.mark.parametrize("what", ["convquestions", "atlas-converse", "own"])
def test_records_may_stand_one_a_line(tmp_path: Path, what: str) -> None:
    name, content = FILES[what]
    other = {**content[0], "id": "9", "conv_id": 9, "conversation_id": "9"}
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(json.dumps(record) for record in (content[0], other)) + "\n\n", encoding="utf-8")
    assert read(str(lines)) == read(written(tmp_path, name, [content[0], other]))
    lines.write_text(json.dumps(content[0]), encoding="utf-8")
    assert read(str(lines)) == read(written(tmp_path, name, content[:1]))


def test_what_is_said_of_a_file_is_checked(tmp_path: Path) -> None:
    for what in DATASETS:
        assert {dialogue.dataset for dialogue in read_as(tmp_path, what, dataset=what)} == {what}
    with pytest.raises(
        ConfigError, match=r"record 1 of .*coqa-dev.* it is of 'coqa', and not of 'quac'; the formats of"
    ):
        read_as(tmp_path, "coqa", dataset="quac")
    with pytest.raises(ConfigError, match="not of 'narrativeqa'; the formats of atlas-converse, convquestions, coqa"):
        read_as(tmp_path, "own", dataset="narrativeqa")
    assert read_as(tmp_path, "own", dataset="mine") == read_as(tmp_path, "own")


def test_the_format_does_not_change_what_is_read(tmp_path: Path) -> None:
    turns = [
        {"question": q["input_text"], "answers": answers, "evidence": evidence}
        for q, answers, evidence in zip(
            COQA["data"][0]["questions"],
            (["a boat", "a red boat"], ["red", "red"], ["unknown", "unknown", "It’s old"]),
            ("a red boat", "red", ""),
            strict=True,
        )
    ]
    record = {"dataset": "coqa", "conversation_id": "3dr23", "domain": "mctest", "context": STORY, "turns": turns}
    own, official = read(written(tmp_path, "own.json", [record])), read_as(tmp_path, "coqa")
    assert own == official
    assert fingerprint(own) == fingerprint(official)


@pytest.mark.parametrize("what", ["convquestions", "atlas-converse", "own"])
def test_a_conversation_without_an_id_has_its_number(tmp_path: Path, what: str) -> None:
    name, content = FILES[what]
    bare = {key: value for key, value in content[0].items() if key not in ("id", "conv_id", "conversation_id")}
    assert [dialogue.id for dialogue in read(written(tmp_path, name, [bare, bare]))] == ["1", "2"]


def test_a_conversation_ends_before_its_first_question_without_gold_answers(tmp_path: Path) -> None:
    (question, *_) = OWN["turns"]
    turns = [question, {"question": "And?", "answers": ["", "  "]}, question]
    (dialogue,) = read(written(tmp_path, "own.json", [{**OWN, "turns": turns}]))
    assert (len(dialogue.questions), dialogue.dropped) == (1, 2)


def test_a_partner_who_left_the_turn_blank_ends_the_conversation(tmp_path: Path) -> None:
    content = json.loads(json.dumps(COQA))
    content["data"][0]["answers"][2]["input_text"] = " "
    (dialogue,) = read(written(tmp_path, "coqa.json", content))
    assert (len(dialogue.questions), dialogue.dropped) == (2, 1)


def test_atlas_files_hold_no_domain_and_no_passage(tmp_path: Path) -> None:
    (dialogue,) = read(written(tmp_path, "convo.json", ATLAS))
    assert (dialogue.domain, dialogue.passage, dialogue.closed_book) == ("", "", True)
