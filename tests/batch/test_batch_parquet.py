"""Parquet in and out: types, nulls, row groups, and what of JSON has no type."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batch_jobs import config, done, prompts, read, written
from coterie.batch.jobs import Job
from coterie.batch.parquet import Parquet
from coterie.batch.rows import Block, Columns
from coterie.batch.running import Stop
from coterie.errors import ConfigError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def table(n: int) -> Any:
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    return pa.table(
        {
            "id": pa.array(range(n), pa.int32()),
            "prompt": pa.array([None if k % 5 == 4 else f"say {k}" for k in range(n)]),
            "when": pa.array([when] * n, pa.timestamp("us", "UTC")),
            "day": pa.array([date(2026, 1, 2)] * n),
            "price": pa.array([Decimal("1.50")] * n, pa.decimal128(10, 2)),
            "raw": pa.array([b"\xff\x00"] * n),
            "share": pa.array([float("nan") if k % 2 else 0.25 for k in range(n)], pa.float32()),
            "tags": pa.array([["a", None]] * n, pa.list_(pa.string())),
            "answer": pa.array(["gold"] * n).dictionary_encode(),
        }
    )


def test_columns_keep_their_types_and_rows_their_order(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    given = table(50)
    pq.write_table(given, source, row_group_size=17)
    done(Job(source, target, block_rows=5), config())
    made = pq.read_table(target)
    names = [{"answer": "input_answer"}.get(name, name) for name in given.column_names]
    assert made.column_names[: len(names)] == names
    for name, new in zip(given.column_names, names, strict=True):
        assert made.schema.field(new).type == given.schema.field(name).type
        if name != "share":  # not a number equals nothing
            assert made.column(new).to_pylist() == given.column(name).to_pylist()
    assert made.column("row").to_pylist() == list(range(1, 51))
    assert made.column("answer").to_pylist() == [None if k % 5 == 4 else f"echo say {k}" for k in range(50)]
    assert made.column("error").to_pylist()[4] == {
        "code": "missing_prompt",
        "message": "row 5: it has no prompt and no messages and no body",
    }
    assert made.column("error").null_count == 40
    assert made.column("usage").to_pylist()[0]["cost_usd"] == pytest.approx(0.005)
    assert made.schema.field("partial").type == pa.bool_()


def test_blocks_are_read_in_any_order(tmp_path: Path) -> None:
    pq.write_table(table(40), tmp_path / "in.parquet", row_group_size=16)
    with Parquet(tmp_path / "in.parquet", Columns()) as reader:
        blocks: list[Block] = []
        first = 1
        for rows in reader.scan(6):
            blocks.append(Block(len(blocks) + 1, first, len(rows), reader.place))
            first += len(rows)
        assert [block.rows for block in blocks] == [6, 6, 4, 6, 6, 4, 6, 2]
        for block in (blocks[3], blocks[0], blocks[7], *blocks, blocks[2]):
            assert [row.fields["id"] for row in reader.questions(block)] == [
                block.first - 1 + n for n in range(block.rows)
            ]
            assert reader.table(block).column("id").to_pylist()[0] == block.first - 1


def test_an_interrupted_batch_of_parquet_goes_on(tmp_path: Path) -> None:
    pq.write_table(table(40), tmp_path / "in.parquet", row_group_size=16)
    job = Job(tmp_path / "in.parquet", tmp_path / "out.jsonl", block_rows=6)
    stop = Stop()
    done(job, config(), stop, lambda found: stop.wanted("interrupted") if found.tally.rows >= 11 else None)
    assert not job.output.exists()
    done(job, config())
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == list(range(40))
    assert rows[1] | {"run": "", "usage": {}} == {
        "id": 1,
        "prompt": "say 1",
        "when": "2026-01-02 03:04:05.678901Z",
        "day": "2026-01-02",
        "price": "1.50",
        "raw": "/wA=",
        "share": None,
        "tags": ["a", None],
        "input_answer": "gold",
        "row": 2,
        "model": "coterie/default",
        "answer": "echo say 1",
        "how": "only",
        "author": "ann",
        "partial": False,
        "usage": {},
        "run": "",
        "failures": [],
        "error": None,
        "response": None,
    }


def test_messages_and_bodies_in_columns_are_read(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": "one", "name": None}], None, None]
    bodies = [None, json.dumps({"model": "ann", "messages": [{"role": "user", "content": "two"}]}), "{"]
    pq.write_table(pa.table({"messages": turns, "body": bodies}), tmp_path / "in.parquet")
    done(Job(tmp_path / "in.parquet", tmp_path / "out.parquet"), config())
    made = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["answer"] for row in made] == ["echo one", "echo two", None]
    assert json.loads(made[1]["response"])["body"]["choices"][0]["message"]["content"] == "echo two"
    assert "row 3: body is a text, and no JSON" in made[2]["error"]["message"]


def test_columns_of_json_lines_become_what_they_all_are(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "whole": 1, "number": 1, "flag": True, "mixed": 1, "list": [1], "big": 2**60, "huge": 2**70},
        {"prompt": "b", "whole": 2, "number": 0.5, "flag": None, "mixed": "x", "none": None, "big": 1, "huge": 0.5},
        {"prompt": "c", "late": "\ud800", "deep": {"x": None}},
    ]
    done(Job(written(tmp_path / "in.jsonl", rows), tmp_path / "out.parquet", block_rows=2), config())
    made = pq.read_table(tmp_path / "out.parquet")
    types = {name: str(made.schema.field(name).type) for name in made.column_names}
    assert types["whole"] == types["big"] == "int64"
    assert (types["number"], types["flag"], types["none"]) == ("double", "bool", "string")
    assert made.column("number").to_pylist() == [1.0, 0.5, None]
    assert made.column("mixed").to_pylist() == ["1", '"x"', None]
    assert made.column("list").to_pylist() == ["[1]", None, None]
    assert made.column("huge").to_pylist() == [str(2**70), "0.5", None]
    assert made.column("late").to_pylist() == [None, None, "\ufffd"]
    assert made.column("deep").to_pylist() == [None, None, '{"x": null}']
    assert made.column("flag").to_pylist() == [True, None, None]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_no_rows_make_an_empty_output(tmp_path: Path, ending: str) -> None:
    pq.write_table(table(0), tmp_path / "in.parquet")
    target = tmp_path / f"out{ending}"
    done(Job(tmp_path / "in.parquet", target), config())
    if ending == ".parquet":
        assert pq.read_table(target).num_rows == 0
        assert "input_answer" in pq.read_schema(target).names
    else:
        assert read(target) == []


def test_a_file_without_a_column_to_ask_has_rows_that_say_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "in.parquet")
    done(Job(tmp_path / "in.parquet", tmp_path / "out.parquet", block_rows=2), config())
    made = pq.read_table(tmp_path / "out.parquet")
    assert made.column("x").to_pylist() == [1, 2, 3]
    assert made.column("error").null_count == 0


def test_what_is_no_parquet_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"PAR1 it is not")
    with pytest.raises(ConfigError, match="is no Parquet file"):
        done(Job(tmp_path / "in.parquet", tmp_path / "out.jsonl"), config())
    assert [found.name for found in tmp_path.iterdir()] == ["in.parquet"]


def test_row_groups_are_written_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.batch import parquet_output

    monkeypatch.setattr(parquet_output, "GROUP_ROWS", 16)
    done(Job(prompts(tmp_path / "in.jsonl", 50), tmp_path / "out.parquet", block_rows=8), config())
    groups = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [16, 16, 16, 2]
