"""The fault drill in small: what the gateway leans on goes away and comes back. `make drill` does it under load."""

from __future__ import annotations

import logging
import resource
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coterie.config import ApiKey, BreakerSettings, Config, GatewaySettings
from coterie.gateway.keys import create, hashed
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import ScriptedMember
from coterie.store import Database
from coterie.types import Secret
from gateway_drill import written
from gateway_process import GatewayProcess, free_port, within
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply

KEY = create()
HEADERS = {"authorization": f"Bearer {KEY}"}


def ask(url: str) -> httpx2.Response:
    asked = {"model": "a", "messages": [{"role": "user", "content": "?"}]}
    return httpx2.post(f"{url}/v1/chat/completions", json=asked, headers=HEADERS, timeout=10, verify=False)


def all_written(store: Path, answers: list[httpx2.Response]) -> bool:
    """True where the store has the trace of every answer, and all their tokens are on the bill."""
    assert {answer.status_code for answer in answers} == {200}
    documents = [answer.json() for answer in answers]
    traces, tokens = written(str(store), "tea", {document["coterie"]["run_id"] for document in documents})
    return (traces, tokens) == (len(documents), sum(document["usage"]["total_tokens"] for document in documents))


def test_an_endpoint_that_goes_away_is_left_alone_and_found_again() -> None:
    port = free_port()
    member = OpenAIMember("a", f"http://127.0.0.1:{port}/v1", "a", retries=0)
    settings = GatewaySettings(breaker=BreakerSettings(failures=2, rest_s=0.1))
    with GatewayServer(Config({"a": member}, gateway=settings)) as server:
        with FaultServer({"a": Reply()}, port):
            assert ask(server.url).status_code == 200
        refused = [ask(server.url) for _ in range(5)]
        assert [answer.status_code for answer in refused] == [502, 502, 503, 503, 503]
        assert refused[-1].headers["x-should-retry"] == "true"
        with FaultServer({"a": Reply()}, port):
            assert within(5, lambda: ask(server.url).status_code == 200)
            assert [ask(server.url).status_code for _ in range(5)] == [200] * 5


def test_while_the_database_is_locked_everybody_is_answered_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    store = Database(Secret(str(path)), keep_texts=True, wait_s=0.1)
    member = ScriptedMember("a", ("Paris",))
    settings = GatewaySettings((ApiKey("tea", hashed(KEY), max_calls=1000),))
    with GatewayServer(Config({"a": member}, store=store, gateway=settings)) as server:
        answers = [ask(server.url)]
        with closing(sqlite3.connect(path, isolation_level=None)) as other, caplog.at_level(logging.WARNING):
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            answers += [ask(server.url) for _ in range(5)]
            assert time.monotonic() - began < 1.0, "nobody waits for the database"
            assert within(5, lambda: "the store is away" in caplog.text)
            answers += [ask(server.url) for _ in range(5)]
            other.execute("ROLLBACK")
    assert all_written(path, answers)


def test_while_the_disk_is_full_everybody_is_answered_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "store" / "coterie.db"
    config: Any = f"""
members: {{a: {{engine: scripted, replies: [Paris]}}}}
store: {{url: "{path}", keep_texts: true}}
gateway: {{keys: [{{id: tea, hash: "{hashed(KEY)}", max_calls: 1000}}]}}
"""
    with GatewayProcess(tmp_path, config) as server:
        answers = [ask(server.url)]
        room = len(server.log) + 8_192  # for what the log says
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        answers += [ask(server.url) for _ in range(5)]
        assert within(10, lambda: "the store is away" in server.log)
        answers += [ask(server.url) for _ in range(5)]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert within(10, lambda: "the store is back; of 0 runs" in server.log)
        assert within(5, lambda: all_written(path, answers))
