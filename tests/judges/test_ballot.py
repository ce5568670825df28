"""Reading a ballot that a member wrote: tolerant of form, strict about meaning."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.judges.ballot import LONGEST, Ballot, read, schema

NOTHING = Ballot(unreadable="no scores from 1 to 5 for the given labels in its text")
CONTRADICTION = Ballot(unreadable="several ballots that contradict each other in its text")

PLAIN = '{"scores": {"A": 4, "B": 2}, "reason": "A is right"}'


# ---- tolerant of form -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"```json\n{PLAIN}\n```",
        f"Here is my ballot:\n\n{PLAIN}\n\nI hope this helps {{:-)}}!",
        f"<think>A {{is}} better</think>{PLAIN}<|im_end|>",
        '{"reason": "A is right", "scores": {"b": "2", " a ": "4"}}',
        '{"scores": {"A": "4/5", "B": "2 / 5"}, "reason": "A is right"}',
        '{"scores": {"A": "4 out of 5", "B": "2.0/5.0"}, "reason": "A is right"}',
        '{"scores": [{"label": "A", "score": 4}, {"label": "B", "score": "2"}], "reason": "A is right"}',
        '{"scores": {"A": {"score": 4, "why": "x"}, "B": {"score": 2}}, "reason": "A is right"}',
        '{ \n "scores": {"A": 4.0, "B": 2, "Z": 5}, "reason": "A is right"}',
        f"{PLAIN}\n{PLAIN}",
        '{"A": 4, "B": 2, "reason": "A is right"}',
    ],
)
def test_a_ballot_is_read_in_any_of_these_forms(text: str) -> None:
    assert read(text, ["A", "B"]) == Ballot({"A": 4.0, "B": 2.0}, "A is right")


def test_scores_between_the_digits_are_kept() -> None:
    assert read('{"scores": {"A": 3.5, "B": "4.25"}}', ["A", "B"]) == Ballot({"A": 3.5, "B": 4.25})


def test_a_ballot_that_was_cut_off_in_its_reason_still_scores() -> None:
    assert read('{"scores": {"A": 4, "B": 2}, "reason": "because the', ["A", "B"]) == Ballot({"A": 4.0, "B": 2.0})


def test_a_label_that_is_left_out_is_left_out() -> None:
    assert read('{"scores": {"A": 4}}', ["A", "B"]).scores == {"A": 4.0}


def test_long_labels_are_labels() -> None:
    assert read('{"scores": {"AB": 4, "ba": 2, "A": 5}}', ["AB", "BA"]).scores == {"AB": 4.0, "BA": 2.0}


@given(
    scores=st.dictionaries(st.sampled_from("ABCDEF"), st.integers(1, 5), min_size=1),
    reason=st.text(st.characters(codec="utf-8")),
)
@settings(max_examples=50)
def test_what_the_form_asks_for_is_read_as_it_stands(scores: Mapping[str, int], reason: str) -> None:
    text = json.dumps({"scores": scores, "reason": reason})
    assert read(text, "ABCDEF") == Ballot({label: float(score) for label, score in scores.items()}, reason)


# ---- strict about meaning ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "score",
    [
        "0",
        "0.99",
        "5.01",
        "6",
        "-3",
        "1e9",
        "NaN",
        "Infinity",
        "-Infinity",
        "true",
        "null",
        "[4]",
        "{}",
        '{"score": true}',
        '{"score": {"score": 4}}',
        '"good"',
        '"4/10"',
        '"8/10"',
        '"80%"',
        '"4, no, 2"',
        '"4/5/5"',
        '"4_0"',
        '"nan"',
        '"four"',
        '"١"',
        '""',
        "1" + "0" * 400,
        "1" + "0" * 9000,
        '"' + "9" * 400 + '"',
    ],
)
def test_what_is_no_score_from_one_to_five_is_not_guessed(score: str) -> None:
    assert read(f'{{"scores": {{"A": {score}}}}}', ["A", "B"]) == NOTHING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A: 4, B: 2",
        "A is the best, 5/5. FINAL RANKING: A > B",
        "5",
        "[1, 2, 3]",
        '"A"',
        "{}",
        "{A: 4, B: 2}",
        "{'A': 4, 'B': 2}",
        '{"scores": {}}',
        '{"scores": null}',
        '{"scores": "A"}',
        '{"scores": 4}',
        '{"scores": [["A", 4], "A", 4, null]}',
        '{"scores": [{"label": ["A"], "score": 4}, {"label": {"A": 1}, "score": 4}]}',
        '{"scores": {"C": 4, "answer A": 5}}',
        '{"ranking": ["A", "B"]}',
        '{"scores": {"scores": {"scores": {"A": 4}}}}',
        '{"scores": [{"label": ' + "[" * 900 + "]" * 900 + ', "score": 3}]}',
    ],
)
def test_what_is_no_ballot_abstains(text: str) -> None:
    assert read(text, ["A", "B"]) == NOTHING


@pytest.mark.parametrize(
    "text",
    [
        '{"scores": {"A": 4, "B": 2}} {"scores": {"A": 5, "B": 2}}',
        '{"scores": {"A": 4, "B": 2}} {"scores": {"A": 4}}',
        '{"A": 5} and on reflection {"A": 1}',
        '{"scores": {"A": 4, "a": 2}}',
        '{"scores": [{"label": "A", "score": 5}, {"label": "A", "score": 1}]}',
        '{"scores": {"A": 5}, "scores": {"A": 1}}',
    ],
)
def test_a_text_that_says_two_things_says_nothing(text: str) -> None:
    assert read(text, ["A", "B"]) == CONTRADICTION


def test_a_key_with_two_values_is_no_object() -> None:
    assert read('{"scores": {"A": 5, "A": 1}}', ["A"]) == NOTHING
    assert read('{"scores": {"A": 5, "A": 5}}', ["A"]) == Ballot({"A": 5.0})


def test_a_ballot_inside_the_reason_is_only_a_reason() -> None:
    quoted = '{"scores": {"A": 5, "B": 1}}'
    text = json.dumps({"scores": {"A": 1, "B": 4}, "reason": quoted})
    assert read(text, ["A", "B"]) == Ballot({"A": 1.0, "B": 4.0}, quoted)


@pytest.mark.parametrize("reason", ["null", "4", '["x"]', '{"why": "x"}'])
def test_a_reason_that_is_no_text_is_none(reason: str) -> None:
    assert read(f'{{"scores": {{"A": 4}}, "reason": {reason}}}', ["A"]) == Ballot({"A": 4.0})


def test_a_reason_can_always_be_written_to_a_file() -> None:
    ballot = read('{"scores": {"A": 4}, "reason": "half a face: \\ud83d"}', ["A"])
    assert ballot == Ballot({"A": 4.0}, "half a face: ?")


# ---- whatever it is given ---------------------------------------------------------------------


@settings(max_examples=200)
@given(text=st.text(), labels=st.lists(st.text("ABab", min_size=1, max_size=2), unique=True))
def test_no_text_raises(text: str, labels: list[str]) -> None:
    ballot = read(text, labels)
    assert bool(ballot.scores) != bool(ballot.unreadable)


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["A", "4", "4/5", "", "B"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["scores", "A", "B", "a", "label", "score", "reason"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(values=st.lists(_VALUES, max_size=3))
def test_no_json_raises_and_every_score_is_on_the_scale(values: list[Any]) -> None:
    ballot = read(" and ".join(map(json.dumps, values)), ["A", "B"])
    assert bool(ballot.scores) != bool(ballot.unreadable)
    assert set(ballot.scores) <= {"A", "B"}
    assert all(1 <= score <= 5 for score in ballot.scores.values())


@pytest.mark.parametrize(
    "text",
    [
        "x" * (8 << 20),
        "{" * (8 << 20),
        '{"' * (4 << 20),
        '{"a":' * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"scores":' + "[" * 100_000,
        '{"A":[1,' * 100_000,
        '{"A":"' * 100_000,
    ],
    ids=["prose", "braces", "quotes", "deep", "deep-whole", "deep-list", "broken", "strings"],
)
def test_a_huge_text_is_read_quickly(text: str) -> None:
    began = time.process_time()
    assert read(text, ["A", "B"]).unreadable
    assert time.process_time() - began < 1


def test_only_the_beginning_of_a_huge_text_is_searched() -> None:
    assert read(PLAIN + " " * LONGEST + '{"scores": {"A": 1}}', ["A", "B"]).scores == {"A": 4.0, "B": 2.0}
    assert read(" " * LONGEST + PLAIN, ["A", "B"]) == NOTHING


# ---- the schema -------------------------------------------------------------------------------


def test_the_schema_holds_a_member_to_what_is_read() -> None:
    made = schema(["B", "A"])
    score = {"type": "integer", "minimum": 1, "maximum": 5}
    assert made["required"] == ["scores", "reason"]
    assert made["additionalProperties"] is False
    assert made["properties"]["reason"] == {"type": "string"}
    assert made["properties"]["scores"] == {
        "type": "object",
        "properties": {"B": score, "A": score},
        "required": ["B", "A"],
        "additionalProperties": False,
    }
    assert json.loads(json.dumps(made)) == made
