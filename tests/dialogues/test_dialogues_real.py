"""Reading the real files that stand beside the project, where there are any."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import pytest

from coterie.dialogues import Dialogue, Interview, fingerprint, read, sample, summarize

SHARED = Path(__file__).parents[3] / "shared" / "data"
NAMES = ("coqa", "convquestions", "inscit")


def place_of(name: str) -> Path:
    place = SHARED / f"convqa_{name}.dev.jsonl.gz"
    if not place.is_file():
        pytest.skip(f"{place.name} is not beside the project")
    return place


@cache
def real(name: str) -> tuple[Dialogue, ...]:
    return read(str(place_of(name)), name)


@pytest.mark.parametrize(
    ("name", "conversations", "turns", "unanswerable", "domains"),
    [("coqa", 504, 7849, 58, 7), ("convquestions", 663, 3315, 0, 5), ("inscit", 61, 359, 60, 3)],
)
def test_everything_is_read(name: str, conversations: int, turns: int, unanswerable: int, domains: int) -> None:
    (summary,) = summarize(real(name))
    assert (summary.conversations, summary.turns, summary.dropped) == (conversations, turns, 0)
    assert len(summary.domains) == domains
    assert summary.unanswerable == unanswerable
    assert (summary.passage_words is None) == (name == "convquestions")


@pytest.mark.parametrize("name", NAMES)
def test_no_word_is_lost(name: str) -> None:
    with gzip.open(place_of(name), "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    for record, dialogue in zip(records, real(name), strict=True):
        assert [turn["question"].strip() for turn in record["turns"]] == [q.text for q in dialogue.questions]
        for turn, question in zip(record["turns"], dialogue.questions, strict=True):
            stored = sorted(answer.strip() for answer in turn["answers"])
            if name == "convquestions":
                assert [a.replace(";", ",").replace(" ", "") for a in stored] == [
                    a.replace(";", ",").replace(" ", "") for a in question.answers
                ]
            else:
                assert stored == sorted(question.answers)


def test_inscit_s_history_is_what_was_said() -> None:
    with gzip.open(place_of("inscit"), "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    for record, dialogue in zip(records, real("inscit"), strict=True):
        for turn, stored in enumerate(record["turns"], 1):
            shown = Interview(instruction="", closed_book=True).messages(dialogue, turn)
            assert [message.text for message in shown][1:-1] == stored["history"][1:]


def test_samples_of_all_three_together() -> None:
    everything = [dialogue for name in NAMES for dialogue in real(name)]
    drawn = sample(everything, 200, seed=1)
    assert len({(dialogue.dataset, dialogue.domain) for dialogue in drawn}) == 15
    assert 200 <= sum(len(dialogue.questions) for dialogue in drawn) < 227
    assert fingerprint(drawn) == fingerprint(sample(reversed(everything), 200, seed=1))
