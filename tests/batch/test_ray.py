"""A batch on Ray: the same output, the same journals, gone on with by either. `make ray` runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch_jobs import done, quiet, read, without_runs, written
from coterie import config as configuration
from coterie.batch.jobs import Begun, Job, begun
from coterie.batch.running import BUDGET
from coterie.config import Config
from http_faults import Body, FaultServer, Reply

pytest.importorskip("ray", reason="Ray is not installed: make ray")

from coterie.batch import on_ray

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

ROWS = 400
QUICK = 60


class Endpoint:
    """Answers after a moment, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.slow_s = 0.01
        """What a request takes after the first ones."""

    def __call__(self, body: Body, nth: int) -> Reply:
        said = body["messages"][-1]["content"]
        self.asked[said] += 1
        return Reply(f"answer to {said}", delay_s=self.slow_s if nth > QUICK else 0.01)


@contextmanager
def served(folder: Path) -> Iterator[tuple[Endpoint, FaultServer, Config]]:
    endpoint = Endpoint()
    with FaultServer({"m": endpoint}) as server:
        price = {"input_usd": 1000, "output_usd": 1000}
        member = {"engine": "openai", "base_url": server.base_url, "model": "m", "max_concurrency": 4, "price": price}
        (folder / "coterie.json").write_text(
            json.dumps({"members": {"ann": member}, "methods": {"default": {"kind": "vote", "members": ["ann"]}}})
        )
        written(folder / "in.jsonl", ({"id": n, "prompt": f"question {n}"} for n in range(1, ROWS + 1)))
        yield endpoint, server, configuration.load(folder / "coterie.json")


def on_a_cluster(job: Job, made: Config) -> tuple[str, Begun]:
    with begun(job, quiet) as found:
        found.bind(made)
        reason = on_ray.run(found, made, on_ray.Cluster(actors=2), threading.Event(), lambda: None)
        if not found.left:
            found.write(quiet)
    return reason, found


def test_actors_make_what_one_process_makes_and_either_goes_on_with_the_other(tmp_path: Path) -> None:
    job = Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", block_rows=16)
    with served(tmp_path) as (endpoint, _, made):
        done(Job(job.source, tmp_path / "whole.jsonl"), made)
        endpoint.asked.clear()
        limited = Job(job.source, job.output, limit_usd=0.5, block_rows=16)
        reason, found = on_a_cluster(limited, made)
        assert (reason, found.left > 0) == (BUDGET, True)
        assert found.tally.rows == endpoint.asked.total()
        reason, found = on_a_cluster(job, made)
        assert (reason, found.left) == ("", 0)
        assert set(endpoint.asked.values()) == {1}
    assert without_runs(read(job.output)) == without_runs(read(tmp_path / "whole.jsonl"))


def test_a_killed_driver_takes_its_actors_along_and_nothing_that_finished_is_asked_again(tmp_path: Path) -> None:
    with served(tmp_path) as (endpoint, server, made):
        endpoint.slow_s = 0.2
        command = [sys.executable, "-m", "coterie.cli.app", "batch", "in.jsonl", "--out", "out.jsonl"]
        options = ["--config", "coterie.json", "--ray", "--ray-actors", "2"]
        with subprocess.Popen([*command, *options], cwd=tmp_path, stderr=subprocess.DEVNULL) as driver:
            ends = time.monotonic() + 60
            while server.count("m") < QUICK + 4:
                assert time.monotonic() < ends
                assert driver.poll() is None
                time.sleep(0.01)
            driver.send_signal(signal.SIGKILL)
            driver.wait(10)
        quiet_since, asked = time.monotonic(), endpoint.asked.total()
        while time.monotonic() - quiet_since < 2:  # until the last actor is gone
            if endpoint.asked.total() > asked:
                quiet_since, asked = time.monotonic(), endpoint.asked.total()
            time.sleep(0.05)
        assert asked < ROWS
        endpoint.slow_s = 0.0
        done(Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl"), made)
        assert sum(times - 1 for times in endpoint.asked.values()) <= 2 * 4  # at most those under way
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == list(range(1, ROWS + 1))


def test_a_killed_actor_is_replaced_and_nothing_that_finished_is_asked_again(tmp_path: Path) -> None:
    job = Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", block_rows=16)
    with served(tmp_path) as (endpoint, server, made):
        endpoint.slow_s = 0.1
        killed: list[int] = []

        def kill() -> None:
            if server.count("m") > QUICK and not killed:
                killed.append(actors()[0])
                os.kill(killed[0], signal.SIGKILL)

        with begun(job, quiet) as found:
            found.bind(made)
            assert on_ray.run(found, made, on_ray.Cluster(actors=2), threading.Event(), kill) == ""
            assert found.left == 0
            found.write(quiet)
        assert killed
        assert sum(times - 1 for times in endpoint.asked.values()) <= 4  # at most those that it had under way
    assert [row["answer"] for row in read(job.output)] == [f"answer to question {n}" for n in range(1, ROWS + 1)]


def test_a_cluster_of_several_nodes_is_joined_by_its_address(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    job = Job(tmp_path / "in.jsonl", tmp_path / "out.jsonl", block_rows=16)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)  # an actor takes one, so two of them need both nodes
        with served(tmp_path) as (endpoint, _, made), begun(job, quiet) as found:
            found.bind(made)
            where = on_ray.Cluster(cluster.address, actors=2)
            assert on_ray.run(found, made, where, threading.Event(), lambda: None) == ""
            found.write(quiet)
            assert set(endpoint.asked.values()) == {1}
    finally:
        cluster.shutdown()
    assert [row["id"] for row in read(job.output)] == list(range(1, ROWS + 1))


def actors() -> list[int]:
    """Processes that this one's cluster runs the actors in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, said = (process / "cmdline").read_text(), (process / "environ").read_text()
        except OSError:  # it has ended, or is somebody else's
            continue
        if name.startswith("ray::MapWorker") and f"RAY_RAYLET_PID={raylet()}" in said:
            found.append(int(process.name))
    return found


def raylet() -> int:
    """The process of this one that starts its cluster's others."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, stat = (process / "cmdline").read_text(), (process / "stat").read_text()
        except OSError:
            continue
        if "raylet/raylet" in name and int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            return int(process.name)
    raise AssertionError("no cluster of this process")
