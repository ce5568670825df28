"""``coterie batch`` as a process: killed, interrupted, and told what it cannot do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from batch_jobs import read, without_runs, written
from coterie.cli.app import app
from coterie.errors import ConfigError, CoterieError
from http_faults import Body, FaultServer, Reply

ROWS = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COTERIE_CONFIG", raising=False)
    for proxy in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(proxy, "127.0.0.1")
    return tmp_path


class Endpoint:
    """Answers after a moment, and counts what it was asked and what it has answered."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.quick = 20
        self.slow_s = 0.5
        """What a request takes after the first `quick` ones, so that there is time to end it all."""

    def __call__(self, body: Body, nth: int) -> Reply:
        said = body["messages"][-1]["content"]
        self.asked[said] += 1
        return Reply(f"answer to {said}", delay_s=self.slow_s if nth > self.quick else 0.001)


@contextmanager
def served(folder: Path) -> Iterator[tuple[FaultServer, Endpoint]]:
    endpoint = Endpoint()
    with FaultServer({"m": endpoint}) as server:
        member = {"engine": "openai", "base_url": server.base_url, "model": "m", "max_concurrency": 4, "retries": 0}
        priced = {**member, "price": {"input_usd": 10, "output_usd": 10}}
        config = {"members": {"ann": priced}, "methods": {"default": {"kind": "vote", "members": ["ann"]}}}
        (folder / "coterie.json").write_text(json.dumps(config))
        written(folder / "in.jsonl", ({"id": n, "prompt": f"question {n}"} for n in range(1, ROWS + 1)))
        yield server, endpoint


def command(*more: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "coterie.cli.app", "batch", "in.jsonl", "--out", "out.jsonl", *more]


def ran(*more: str) -> tuple[int, str]:
    """The exit status, and what is said on stderr, of the command in this process."""
    done = CliRunner().invoke(app, ["batch", "in.jsonl", "--out", "out.jsonl", *more])
    if isinstance(done.exception, CoterieError):
        return 2, str(done.exception)
    return done.exit_code, done.stderr


@contextmanager
def running(folder: Path, server: FaultServer, after: int) -> Iterator[subprocess.Popen[str]]:
    """The command, once it has asked so many rows."""
    with subprocess.Popen(command(), cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            ends = time.monotonic() + 30
            while server.count("m") < after:
                assert time.monotonic() < ends
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.002)
            yield process
        finally:
            process.kill()


def test_a_killed_batch_goes_on_and_nothing_that_finished_is_asked_again(folder: Path) -> None:
    with served(folder) as (server, endpoint):
        with running(folder, server, 24) as process:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert not (folder / "out.jsonl").exists()
        endpoint.slow_s = 0.0
        status, said = ran()
        assert (status, "going on: " in said) == (0, True), said
        assert sum(times - 1 for times in endpoint.asked.values()) <= 4  # at most those under way when it was killed
        assert len(endpoint.asked) == ROWS
        assert ran("--out", "whole.jsonl")[0] == 0
    rows = read(folder / "out.jsonl")
    assert [row["id"] for row in rows] == list(range(1, ROWS + 1))
    assert without_runs(rows) == without_runs(read(folder / "whole.jsonl"))


def test_an_interrupt_lets_the_rows_under_way_end_and_says_how_to_go_on(folder: Path) -> None:
    with served(folder) as (server, endpoint):
        with running(folder, server, 22) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
            assert process.stderr is not None
            said = process.stderr.read()
        assert "interrupted; to go on: coterie batch in.jsonl --out out.jsonl" in said
        assert "Traceback" not in said
        endpoint.slow_s = 0.0
        assert ran()[0] == 0
        assert set(endpoint.asked.values()) == {1}
    assert len(read(folder / "out.jsonl")) == ROWS


def test_a_second_interrupt_cancels_what_is_under_way(folder: Path) -> None:
    with served(folder) as (server, endpoint):
        endpoint.quick, endpoint.slow_s = 0, 30.0
        with running(folder, server, 4) as process:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130
        assert server.idle_within(5)


def test_what_was_spent_and_what_failed_is_said(folder: Path) -> None:
    with served(folder) as (_, endpoint):
        endpoint.slow_s = 0.0
        status, said = ran("--limit-usd", "0.0009", "--concurrency", "1")
        assert (status, "--limit-usd 0.0009 is spent; a higher one goes on" in said) == (1, True)
        assert ran("--limit-usd", "1")[0] == 0
    status, said = ran("--restart", "--max-failures", "5")
    assert (status, "the same command with --retry-failed goes on" in said) == (1, True)
    with (folder / "in.jsonl").open("a") as file:
        file.write("nope\n")
    status, said = ran()
    assert (status, "its content differs" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.jsonl", "--out", "o.jsonl"), "there is no file"),
        (("in.txt", "--out", "o.jsonl"), "must end in one of .jsonl, .jsonl.gz, .parquet"),
        (("in.jsonl", "--out", "o.csv"), "must end in one of"),
        (("in.jsonl", "--out", "in.jsonl"), "is the input"),
        (("in.jsonl", "--out", "absent/o.jsonl"), "its folder is missing"),
        (("in.jsonl", "--out", "o.jsonl", "--method", "absent"), "there is no method 'absent'; there are: default"),
        (("in.jsonl", "--out", "way.jsonl"), "is in the way"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_said(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    members: Any = {"a": {"engine": "scripted", "replies": ["x"]}}
    config = {"members": members, "methods": {"default": {"kind": "vote", "members": ["a"]}}}
    Path("coterie.json").write_text(json.dumps(config))
    Path("in.jsonl").write_text('{"prompt": "x"}\n')
    Path("way.jsonl.part").touch()
    done = CliRunner().invoke(app, ["batch", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


def test_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys, coterie.cli.batch, coterie.batch.jobs\n"
        "print({'pyarrow', 'ray', 'numpy', 'starlette', 'uvicorn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
