"""Journals: whatever a killed process or a full disk leaves of them, no finished row is lost and none stands twice."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs import config, done, echo, prompts, quiet, read, without_runs
from coterie.batch import journals
from coterie.batch.folder import Folder
from coterie.batch.jobs import Job, begun
from coterie.batch.journals import Journal, Journals, Kept
from coterie.batch.rows import Block
from coterie.batch.running import Stop
from coterie.errors import ConfigError
from coterie.members.scripted import Reply
from coterie.types import Request

ROWS = 12


@cache
def asked_and_not_written() -> Path:
    """A folder with a batch whose rows all have results, and whose output is not written yet."""
    folder = Path(mkdtemp())
    with begun(Job(prompts(folder / "in.jsonl", ROWS), folder / "out.jsonl"), quiet) as found:
        found.bind(config())
        asyncio.run(found.run(config(), Stop()))
    return folder


@cache
def expected() -> list[dict[str, Any]]:
    folder = Path(mkdtemp())
    done(Job(prompts(folder / "in.jsonl", ROWS), folder / "out.jsonl"), config())
    return without_runs(read(folder / "out.jsonl"))


@settings(max_examples=25)
@given(
    cut=st.integers(0, 6000), rest=st.sampled_from([b"", b"\0" * 50, b'{"row": 1', b"\n", b"\xff\n", b'{"row": 99}\n'])
)
def test_a_journal_cut_anywhere_is_gone_on_with_from_its_last_whole_line(cut: int, rest: bytes) -> None:
    folder = Path(mkdtemp())
    try:
        shutil.copytree(asked_and_not_written(), folder, dirs_exist_ok=True)
        [journal] = (folder / "out.jsonl.part").glob("rows-*/*.jsonl")
        data = journal.read_bytes()[:cut]
        journal.write_bytes(data + rest)
        asked: Counter[str] = Counter()

        def script(request: Request, nth: int) -> Reply:
            asked[request.question] += 1
            return replace(echo(request, nth), latency_s=0.0)

        with begun(Job(folder / "in.jsonl", folder / "out.jsonl"), quiet) as found:
            asyncio.run(found.run(config(script), Stop()))
            found.write(quiet)
        assert without_runs(read(folder / "out.jsonl")) == expected()
        assert asked.total() == ROWS - data.count(b"\n")
        assert set(asked.values()) <= {1}
    finally:
        shutil.rmtree(folder)


def test_a_full_disk_ends_the_run_and_what_had_finished_is_kept(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    asked: Counter[str] = Counter()

    def script(request: Request, nth: int) -> Reply:
        asked[request.question] += 1
        return echo(request, nth)

    job = Job(prompts(tmp_path / "in.jsonl", 60), tmp_path / "out.jsonl", at_once=4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with begun(job, quiet) as found:
        found.bind(config(script))
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
        try:
            with pytest.raises(OSError, match="large"):
                asyncio.run(found.run(config(script), Stop()))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        finished = found.tally.rows
    assert 0 < finished < 60
    assert done(job, config(script)).left == 0
    assert [row["row"] for row in read(tmp_path / "out.jsonl")] == list(range(1, 61))
    assert asked.total() - 60 <= 4  # those under way when the disk was full


def entry(row: int, **more: Any) -> dict[str, Any]:
    usage = {"known_cost_usd": 0.5, "cost_usd": None}
    return {"row": row, "usage": usage, "error": None, "run": "run-1", "model": "m", "answer": "x", **more}


def test_a_row_that_was_asked_again_counts_once_and_its_cost_twice(tmp_path: Path) -> None:
    block, path = Block(1, 1, 3, (0, 1)), tmp_path / "rows" / "1.jsonl"
    journal = Journal(path, Kept())
    for line in (entry(2, error={"code": "x", "message": "y"}), entry(2, answer="again"), {"lost_usd": 0.25}):
        journal.add(line)
    journal.sync()
    journal.close()
    kept = journals.read(path, block)
    assert kept.results == {2: entry(2, answer="again")}
    assert (kept.tally.rows, kept.tally.failed, kept.tally.known_usd, kept.tally.unpriced) == (1, 0, 1.25, 1)
    kept.let_go_unanswered()
    assert len(kept.results) == 1


def test_a_journal_is_written_by_one_process(tmp_path: Path) -> None:
    path = tmp_path / "rows" / "1.jsonl"
    journal = Journal(path, Kept())
    with pytest.raises(ConfigError, match="another process"):
        Journal(path, Kept())
    journal.close()


def test_a_slow_disk_holds_rows_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MOST_UNSYNCED", 2)

    async def many() -> int:
        written, folder = Journals(), Folder(tmp_path / "out.jsonl")
        folder.path.mkdir()
        most = 0
        for number in range(1, 8):
            block = Block(number, number, 1, (0, 1))
            await written.begin(block, folder.journal(block), Kept())
            written.finish(block, entry(number))
            most = max(most, len(written._full))
        await written.sync()
        assert not written._full
        written.close()
        return most

    assert asyncio.run(many()) == 2
