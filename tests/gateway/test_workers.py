"""Several workers on one port: who is killed is replaced, and what the parent is told reaches all of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coterie.config import ApiKey, Config, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway.serving import Serving, check_workers, listening
from coterie.gateway.serving.workers import METRICS_FOLDER, metrics_folder
from coterie.members.scripted import ScriptedMember
from coterie.store import Database
from coterie.types import Secret
from gateway_process import Asking, GatewayProcess, load, within

CONFIG = """
members:
  a: {{engine: scripted, replies: [{{text: {says}, latency_s: 0.02}}]}}
  long: {{engine: scripted, replies: [{{text: Paris, latency_s: 0.8}}]}}
methods:
  default: {{kind: vote, members: [a]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = CONFIG.format(says="before")
    with GatewayProcess(tmp_path_factory.mktemp("workers"), config, "--workers", "2", "--drain-s", "5") as running:
        assert within(5, lambda: len(running.workers) == 2)
        yield running


def answers_alone(server: GatewayProcess, others: list[int]) -> str:
    """What the one worker says that is not stopped meanwhile."""
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        return server.says()
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def test_each_worker_answers(server: GatewayProcess) -> None:
    for worker in server.workers:
        assert answers_alone(server, [worker])


def test_who_is_killed_under_load_is_replaced_and_the_others_answer(server: GatewayProcess) -> None:
    before = server.workers
    with load(server, "a", clients=4) as outcomes:
        assert within(10, lambda: len(outcomes) > 10)
        os.kill(before[0], signal.SIGKILL)
        killed_at = len(outcomes)
        assert within(10, lambda: len(outcomes) > killed_at + 20)
        assert within(10, lambda: len(set(server.workers) - set(before)) == 1)
    failed = [outcome for outcome in outcomes if getattr(outcome, "status_code", 0) != 200]
    assert len(failed) <= 4, "only what it had under way itself is lost, at most one request a client"
    assert f"worker {before[0]} ended with -9 and is replaced" in server.log
    survivor = next(worker for worker in server.workers if worker in before)
    assert within(10, lambda: server.get("/health/ready").status_code == 200)
    assert answers_alone(server, [survivor])


def test_a_new_configuration_reaches_every_worker_and_a_wrong_one_none(server: GatewayProcess) -> None:
    told = server.log.count("was read again")
    server.file.write_text("members: {}")
    server.tell(signal.SIGHUP)
    assert within(5, lambda: "at least one member" in server.log)
    server.file.write_text(CONFIG.format(says="after"))
    server.tell(signal.SIGHUP)
    assert within(5, lambda: server.log.count("was read again") == told + 2)
    assert server.log.count("cannot be served, so the one before goes on") == 1, "the parent alone says so"
    for worker in server.workers:
        assert answers_alone(server, [worker]) == "after"
    server.file.write_text(CONFIG.format(says="before"))


def test_what_workers_count_is_told_together(server: GatewayProcess) -> None:
    for worker in server.workers:
        answers_alone(server, [worker])
    pages = []
    for worker in server.workers:
        os.kill(worker, signal.SIGSTOP)
        pages.append(server.get("/metrics").text)
        os.kill(worker, signal.SIGCONT)
    wanted = 'coterie_requests_total{model="a",route="/v1/chat/completions",status="200"}'
    told = [line for page in pages for line in page.splitlines() if line.startswith(wanted)]
    assert len(told) == 2
    assert told[0] == told[1]


def test_told_to_stop_all_workers_finish_what_is_under_way(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG.format(says="x"), "--workers", "2") as server:
        asking = Asking(server)
        for _ in range(6):
            asking.begin("long")
        assert within(5, lambda: in_flight(server) == 7)
        assert not asking.outcomes
        workers = server.workers
        for process in (*workers, server.process.pid):  # as a supervisor of services signals all of its processes
            os.kill(process, signal.SIGTERM)
        assert [outcome.status_code for outcome in asking.ended()] == [200] * 6
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.log


def test_workers_whose_parent_is_killed_end_too(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG.format(says="x"), "--workers", "2") as server:
        workers = server.workers
        assert len(workers) == 2
        server.tell(signal.SIGKILL)
        server.process.wait(10)
        assert within(10, lambda: not any(alive(worker) for worker in workers))


def in_flight(server: GatewayProcess) -> float:
    """Requests under way at all workers, the one that asks for this included."""
    lines = server.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("coterie_requests_in_flight"))


ENDS_AT_ONCE = """
import sys
from coterie.errors import ConfigError
from coterie.gateway.serving.workers import Workers
def work(config, parent):
    {what}
Workers(2, work, None, None, [], 1.0).run()
"""


@pytest.mark.parametrize("what", ["raise ConfigError('wrong')", "sys.exit(3)"])
def test_workers_that_cannot_start_are_not_tried_for_ever(what: str) -> None:
    command = [sys.executable, "-c", ENDS_AT_ONCE.format(what=what)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "CoterieError: a worker could not start serving" in done.stderr
    assert ("a worker cannot serve: wrong" in done.stderr) == ("wrong" in what)


def alive(pid: int) -> bool:
    """False for one that has ended, buried or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_budgets_that_workers_do_not_share_are_refused() -> None:
    member = {"a": ScriptedMember("a", ("x",))}
    poor = GatewaySettings((ApiKey("poor", "sha256:" + "0" * 64, max_usd=1.0),))
    check_workers(1, Config(member, gateway=poor))
    check_workers(2, Config(member, gateway=poor, store=Database(Secret("coterie.db"))))
    with pytest.raises(ConfigError, match="the whole budget of poor"):
        Serving(workers=2).check(Config(member, gateway=poor))


def test_an_address_that_is_taken_is_refused_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            listening("127.0.0.1", port)
    with pytest.raises(ConfigError, match=r"no\.such\.host\.invalid"):
        listening("no.such.host.invalid", 0)


def test_every_address_of_a_host_has_the_same_port() -> None:
    sockets = listening("localhost", 0)
    assert len({listener.getsockname()[1] for listener in sockets}) == 1
    for listener in sockets:
        listener.close()


def test_workers_count_in_a_folder_that_goes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_FOLDER, raising=False)
    with metrics_folder():
        folder = Path(os.environ[METRICS_FOLDER])
        assert folder.is_dir()
    assert METRICS_FOLDER not in os.environ
    assert not folder.exists()


def test_a_folder_that_was_named_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    with metrics_folder():
        assert os.environ[METRICS_FOLDER] == str(tmp_path)
    assert tmp_path.is_dir()
