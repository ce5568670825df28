"""Files of rows: what is written is read, what a crash left is survived, and what is wrong is named with its line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import HEADER, Made, recorded

from coterie.errors import ConfigError
from coterie.evaluation.blending.header import FORMAT, Header
from coterie.evaluation.blending.recording import Recorder, line_of, read
from coterie.evaluation.blending.rows import Question, Row

ROW = Row("d", "c", 1, "m", "blend", n=3, top_k=2, text="è 漢字", quality={"bertscore": 0.5, "other": None}, time_s=1.5)


def written(path: Path, *records: Header | Question | Row) -> Path:
    path.write_text("".join(f"{line_of(record)}\n" for record in records), encoding="utf-8")
    return path


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    whole = recorded(Made(conversations=3))
    path = tmp_path / "rows.jsonl"
    with Recorder(path, whole.header) as recorder:
        for question in whole.questions.values():
            recorder.add(question)
        for row in whole.rows:
            recorder.add(row)
    found = read(path)
    assert found == whole
    assert found.questions == whole.questions
    assert [row.quality for row in found.rows] == [row.quality for row in whole.rows]


def test_every_line_is_on_its_way_when_add_returns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Recorder(path, HEADER) as recorder:
        recorder.add(ROW)
        assert read(path).rows == (ROW,)


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_half_written_last_line_is_left_out_with_a_note(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "rows.jsonl", HEADER, ROW)
    half = line_of(replace(ROW, turn=2, text="è漢")).encode()
    place = half.index("è漢".encode()) - 20 + cut
    path.write_bytes(path.read_bytes() + half[:place])  # also within a character
    found = read(path)
    assert found.rows == (ROW,)
    assert found.notes == (f"line 3 of {str(path)!r}, the last, is half written and was left out",)


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", HEADER, ROW)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read(path).rows == (ROW,)
    with Recorder(path, HEADER) as recorder:
        recorder.add(replace(ROW, turn=2))
    assert [row.turn for row in read(path).rows] == [1, 2]
    assert read(path).notes == ()


def test_a_recorder_goes_on_after_a_crash(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", HEADER, ROW)
    with path.open("ab") as file:
        file.write(b'{"record": "row", "dataset": "d')
    with Recorder(path, replace(HEADER, started_at="later")) as recorder:
        assert recorder.recorded.rows == (ROW,)
        recorder.add(replace(ROW, turn=2))
    found = read(path)
    assert [row.turn for row in found.rows] == [1, 2]
    assert found.notes == ()
    assert found.header.started_at == HEADER.started_at


@pytest.mark.parametrize("left", [b"", b'{"record": "head'])
def test_a_recorder_begins_anew_where_not_even_the_header_was_written(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(left)
    with Recorder(path, HEADER) as recorder:
        recorder.add(ROW)
    assert read(path).rows == (ROW,)


def test_a_recorder_refuses_the_file_of_another_run(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", HEADER, ROW)
    with pytest.raises(ConfigError, match=r"another run: its hardware was 'none: made up', and is 'a card'"):
        Recorder(path, replace(HEADER, hardware="a card"))


def test_a_recorder_says_where_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write rows to"):
        Recorder(tmp_path / "no" / "rows.jsonl", HEADER)


def test_the_last_of_equal_rows_stands(tmp_path: Path) -> None:
    again = replace(ROW, text="again")
    found = read(written(tmp_path / "rows.jsonl", HEADER, ROW, replace(ROW, turn=2), again))
    assert [row.text for row in found.rows] == ["again", ROW.text]
    assert found.notes == ("1 rows were recorded again; the last of each stands",)


def test_rows_of_other_seeds_and_settings_are_others(tmp_path: Path) -> None:
    rows = (
        ROW,
        replace(ROW, seed=1),
        replace(ROW, top_k=3),
        replace(ROW, policy="first_k"),
        replace(ROW, temperature=0),
    )
    assert read(written(tmp_path / "rows.jsonl", HEADER, *rows)).rows == rows


def test_files_of_one_run_may_stand_behind_one_another(tmp_path: Path) -> None:
    one = written(tmp_path / "rows.jsonl", HEADER, ROW, replace(HEADER, started_at="later"), replace(ROW, turn=2))
    assert len(read(one).rows) == 2
    other = written(tmp_path / "other.jsonl", HEADER, ROW, replace(HEADER, seed=7))
    with pytest.raises(
        ConfigError, match=r"line 3 of .*other\.jsonl' goes on with another run: its seed was 0, and is 7"
    ):
        read(other)


def with_field(**fields: Any) -> str:
    return json.dumps({**json.loads(line_of(ROW)), **fields})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nothing", "Expecting value"),
        ("[1]", "a record is one of header, question, row"),
        ('"row"', "a record is one of header, question, row"),
        ('{"record": "rows"}', "a record is one of header, question, row"),
        ('{"dataset": "d"}', "a record is one of header, question, row"),
        (with_field(turn="soon"), "turn: "),
        (with_field(turn=0), "turn is at least 1, not 0"),
        (with_field(kind="fusion"), "kind: "),
        (with_field(conversation=None), "conversation: "),
        (with_field(time_s=-1), "time_s is a number from 0 on, or null where it is unknown, not -1.0"),
        (with_field(cost_usd=float("nan")), "cost_usd is a number from 0 on"),
        (with_field(quality={"bertscore": float("inf")}), "quality 'bertscore' is a number, or null"),
        (with_field(failed="timeout"), r"what failed \('timeout'\) has no quality"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, line: str, why: str) -> None:
    path = written(tmp_path / "rows.jsonl", HEADER, ROW)
    path.write_text(path.read_text("utf-8") + f"{line}\n{line_of(replace(ROW, turn=3))}\n", "utf-8")
    with pytest.raises(ConfigError, match=rf"line 3 of .*rows\.jsonl' is no record of an evaluation: .*{why}"):
        read(path)


def test_a_file_begins_with_its_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a row, but the first is a header"):
        read(written(tmp_path / "rows.jsonl", ROW))
    (tmp_path / "empty").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="holds no header"):
        read(tmp_path / "empty")
    with pytest.raises(ConfigError, match="cannot read the rows in"):
        read(tmp_path / "absent")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"has format {FORMAT + 1}; this version reads up to {FORMAT}"):
        read(written(tmp_path / "rows.jsonl", replace(HEADER, format=FORMAT + 1)))


def test_unknown_fields_are_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{line_of(HEADER)}\n\n{with_field(mood='good')}\n{with_field(turn=2, mood='bad')}\n", "utf-8-sig")
    found = read(path)
    assert len(found.rows) == 2
    assert found.notes == ("the field 'mood' (line 3) is unknown to this version and was left out",)


def test_half_characters_survive_as_replacements(tmp_path: Path) -> None:
    found = read(written(tmp_path / "rows.jsonl", HEADER, replace(ROW, text="a\ud800b \U0001f600")))
    assert found.rows[0].text == "a\N{REPLACEMENT CHARACTER}b \U0001f600"


def test_settings_that_json_does_not_know_are_written_as_text(tmp_path: Path) -> None:
    header = replace(HEADER, settings={"out": Path("there"), "temperatures": (0.0, 0.5)})
    with Recorder(tmp_path / "rows.jsonl", header):
        pass
    with Recorder(tmp_path / "rows.jsonl", header) as recorder:
        assert recorder.recorded.header.settings == {"out": "there", "temperatures": [0.0, 0.5]}


@pytest.mark.parametrize(("field", "value"), [("n", 0), ("top_k", 0), ("similarity", -0.1), ("generations", -1)])
def test_a_row_holds_nothing_impossible(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(ROW, **{field: value})  # type: ignore[arg-type]
