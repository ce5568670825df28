"""What data sets are like."""

from __future__ import annotations

from pathlib import Path

import pytest
from official_shapes import FILES, written

from coterie.dialogues import Dialogue, Question, Spread, fingerprint, markdown, read, summarize

BOATS = (
    Dialogue(
        "boats", "1", (Question("A?", ("a", "b")), Question("B?", ("unknown",))), "sea", "one two three", dropped=2
    ),
    Dialogue("boats", "2", (Question("C?", ("c",)),), "sea", "one two three four five"),
    Dialogue("boats", "3", tuple(Question(f"{n}?", ("d", "d")) for n in range(6)), "lake", "one"),
)


def test_a_summary_counts_what_was_loaded() -> None:
    (summary,) = summarize(BOATS)
    assert (summary.dataset, dict(summary.domains)) == ("boats", {"sea": 2, "lake": 1})
    assert (summary.conversations, summary.turns, summary.unanswerable, summary.dropped) == (3, 9, 1, 2)
    assert summary.turns_each == Spread(3.0, 2, 1, 6)
    assert summary.answers_each == Spread(16 / 9, 2, 1, 2)
    assert summary.passage_words == Spread(3.0, 3, 1, 5)
    assert summary.fingerprint == fingerprint(BOATS)


def test_each_data_set_has_its_own(tmp_path: Path) -> None:
    dialogues = [
        d for what in ("coqa", "inscit", "own", "convquestions") for d in read(written(tmp_path, *FILES[what]))
    ]
    found = {summary.dataset: summary for summary in summarize([*dialogues, *BOATS])}
    assert list(found) == ["coqa", "inscit", "mine", "convquestions", "boats"]
    assert found["convquestions"].passage_words is None
    assert found["inscit"].passage_words == Spread(8.0, 8, 8, 8)
    assert summarize([]) == ()


def test_no_numbers_have_no_spread() -> None:
    with pytest.raises(ValueError, match="at least one data point"):
        Spread.of([])


def test_the_table() -> None:
    unnamed = Dialogue("a|b", "1", (Question("A?", ("a",)),))
    assert markdown(summarize([*BOATS, unnamed])).splitlines() == [
        "| data set | domains | conversations | turns | turns each | answers each | passage words | unanswerable |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| boats | sea 2, lake 1 | 3 | 9 | 3.0 (median 2, 1 to 6) | 1.8 (median 2, 1 to 2) | 3 (median 3, 1 to 5) "
        "| 1 (11.1%) |",
        "| a\\|b | none named 1 | 1 | 1 | 1.0 (median 1, 1 to 1) | 1.0 (median 1, 1 to 1) | closed book | 0 (0.0%) |",
    ]
