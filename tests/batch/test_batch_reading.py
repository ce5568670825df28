"""JSON Lines: read in any order, plain or gzipped, within bounds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from batch_jobs import config, done, prompts, read
from coterie.batch import json_lines
from coterie.batch.jobs import Job
from coterie.batch.json_lines import JsonLines
from coterie.batch.rows import Block
from coterie.errors import ConfigError


@pytest.mark.parametrize("zipped", [False, True])
def test_blocks_are_read_in_any_order(tmp_path: Path, zipped: bool) -> None:
    text = "\ufeff" + "".join(f'\n{{"id": {n}, "prompt": "é{n}"}}\r\n' for n in range(1, 24))
    source = tmp_path / ("in.jsonl.gz" if zipped else "in.jsonl")
    source.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    with JsonLines(source) as reader:
        blocks: list[Block] = []
        for rows in reader.scan(5):
            blocks.append(Block(len(blocks) + 1, 5 * len(blocks) + 1, len(rows), reader.place))
        for block in (blocks[2], blocks[0], *blocks, blocks[4], blocks[4]):
            found = reader.questions(block)
            assert [row.fields["id"] for row in found] == [block.first + n for n in range(block.rows)]
            assert [row.where for row in found] == [f"line {2 * row.number}" for row in found]


def test_a_line_that_is_too_long_is_one_row_that_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 2**20)
    lines = [json.dumps({"prompt": "x" * length}) for length in (1, 2**20, 3 * 2**20 + 5, 2)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    done(Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl"), config())
    rows = read(tmp_path / "out.jsonl")
    assert [row["answer"] for row in rows] == ["echo x", None, None, "echo xx"]
    assert [row["error"]["message"] for row in rows[1:3]] == [f"line {n} is longer than 1 MiB" for n in (2, 3)]


def test_a_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    data = gzip.compress(prompts(tmp_path / "in.jsonl", 500).read_bytes())
    source = tmp_path / "in.jsonl.gz"
    source.write_bytes(data[:-200])
    with pytest.raises(ConfigError, match="cannot be read after line"):
        done(Job(source, tmp_path / "out.jsonl"), config())


def test_ids_may_differ_in_type_and_stand_in_any_column(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": id_, "prompt": "x"}) + "\n" for id_ in (1, "1", 2, 1, "1", None, None)))
    done(Job(source, tmp_path / "out.jsonl", block_rows=2), config())
    said = [(row["error"] or {"message": ""})["message"] for row in read(tmp_path / "out.jsonl")]
    assert said == ["", "", "", *(f"line {n}: its id stands in row {n - 3} already" for n in (4, 5)), "", ""]
