"""Traces that the store has not taken yet outlive their process."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from coterie.gateway.keeping.accounts import SPACE, Used
from coterie.gateway.keeping.journal import Journal
from coterie.gateway.keys import create, hashed
from coterie.store import Database
from coterie.trace import RunStarted, Trace
from coterie.types import KeptRun, Limits, Message, Request
from gateway_process import GatewayProcess

HALF = "a tea \u2028 \n\n \ud83e"
"""Lines of all kinds, and half a character."""


def kept(n: int, text: str = HALF) -> KeptRun:
    request = Request((Message("user", text),))
    started = RunStarted(
        0.0, f"run-{n:032x}", "default", {}, request, (), Limits(), 0, "2026-01-01T00:00:00+00:00", "0"
    )
    return KeptRun(started.run, "tea", 5.0, Trace((started,)).lines, 100)


def told(run: KeptRun) -> tuple[str, str, float, list[str], int]:
    return run.id, run.scope, run.made_at, list(run.lines()), run.chars


def test_what_a_killed_process_had_not_written_is_found_by_the_next(tmp_path: Path) -> None:
    killed = Journal(tmp_path)
    runs = [kept(1), kept(2), kept(3, "")]
    for run in runs:
        killed.add(run)
    assert list(Journal(tmp_path).left_behind()) == [], "it lives"
    killed.close(keep=True)
    found = list(Journal(tmp_path).left_behind())
    assert [told(run) for run in found] == [told(run) for run in runs]
    assert Trace.parse(found[0].lines()).started.request.messages[0].text == HALF
    assert list(Journal(tmp_path).left_behind()) == []


def test_what_the_store_has_is_not_left_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(kept(1))
    journal.clear()
    journal.add(kept(2))
    journal.close(keep=True)
    assert [run.id for run in Journal(tmp_path).left_behind()] == [kept(2).id]


@pytest.mark.parametrize("cut", [1, 5, 60, 100_000])
def test_a_run_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.add(kept(1))
    [file] = tmp_path.iterdir()
    whole = file.stat().st_size
    journal.add(kept(2))
    journal.close(keep=True)
    file.write_bytes(file.read_bytes()[: max(whole, file.stat().st_size - cut)])
    assert [run.id for run in Journal(tmp_path).left_behind()] == [kept(1).id]


def test_a_full_journal_takes_no_more_until_the_store_is_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=1000)
    for n in range(20):
        journal.add(kept(n))
    [file] = tmp_path.iterdir()
    assert 0 < file.stat().st_size <= 1000
    journal.clear()
    journal.add(kept(77))
    journal.close(keep=True)
    assert [run.id for run in Journal(tmp_path).left_behind()] == [kept(77).id]


CONFIG = """
members:
  a: {{engine: scripted, replies: [Paris], price: {{input_usd: 1.0, output_usd: 2.0}}}}
store: {{url: "{store}", keep_texts: true}}
gateway:
  keys: [{{id: tea, hash: "{hash}", max_usd: 1000}}]
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_gateway_that_is_killed_with_all_its_workers_loses_no_answer(tmp_path: Path, workers: str) -> None:
    """It is killed in the moment in which the answer arrives: nothing can have been written to the store yet."""
    key, store = create(), tmp_path / "coterie.db"
    config = CONFIG.format(store=store, hash=hashed(key))
    runs: list[str] = []
    for life in range(3):
        with GatewayProcess(folder(tmp_path, life), config, "--workers", workers) as server:
            answer = server.ask(key=key)
            for process in (*server.workers, server.process.pid):
                os.kill(process, signal.SIGKILL)
            runs.append(answer.headers["x-coterie-run-id"])
    with GatewayProcess(folder(tmp_path, 3), config) as server:
        for run in runs:
            assert server.get(f"/v1/runs/{run}", key).json()["id"] == run
        server.tell(signal.SIGTERM)
        assert server.process.wait(10) == 0
    assert not Path(f"{store}-unwritten").exists()

    async def main() -> tuple[int, list[str]]:
        async with Database.at(str(store), keep_texts=True).open() as opened:
            used = await opened.records.get(SPACE, "tea")
            assert used is not None
            return Used.read(used.value).requests, [run.id for run in await opened.runs.after("-")]

    assert asyncio.run(main()) == (3, sorted(runs))


def folder(of: Path, life: int) -> Path:
    made = of / f"life{life}"
    made.mkdir()
    return made
