"""Prometheus metrics: what is counted of requests and calls, who may read it, and what can never stand there."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from coterie import config
from coterie.committee import Committee
from coterie.config import ApiKey, Config, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway.visit import Visit
from coterie.gateway.watching.metrics import Metrics
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.trace import Trace
from coterie.types import Price
from gateway_server import GatewayServer
from http_faults import FaultServer
from watched_gateway import EVERY_MODEL, KEY, OTHER_KEY, ask, leaked, scripts, soon, watched

Counts = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    with (
        FaultServer(scripts()) as upstream,
        GatewayServer(watched(upstream.base_url, metrics_keys=("reporting",))) as running,
    ):
        yield running


def page(server: GatewayServer, key: str = KEY, accept: str = "text/plain") -> httpx2.Response:
    return httpx2.get(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {key}", "Accept": accept}, verify=False
    )


def parsed(text: str) -> Counts:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def at(counts: Counts, name: str, **labels: str) -> float:
    return counts.get((f"coterie_{name}", frozenset(labels.items())), 0.0)


class Since:
    """What was added since it was made."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server
        self._before = parsed(page(server).text)

    def __call__(self, name: str, **labels: str) -> float:
        return at(parsed(page(self._server).text), name, **labels) - at(self._before, name, **labels)


CHAT = "/v1/chat/completions"


def test_a_request_counts_with_its_calls_tokens_and_cost(server: GatewayServer) -> None:
    since = Since(server)
    answer = ask(server, "coterie/default")
    where = {"route": CHAT, "model": "coterie/default"}
    assert soon(lambda: since("requests_total", status="200", **where)) == 1
    spent = answer.coterie["members"]["a"]
    assert since("request_duration_seconds_count", **where) == 1
    assert since("runs_total", model="coterie/default", status="answered") == 1
    assert since("calls_total", member="a", outcome="answered") == 1
    assert since("call_duration_seconds_count", member="a") == 1
    assert since("tokens_total", member="a", direction="input") == spent["prompt_tokens"] > 0
    assert since("tokens_total", member="a", direction="output") == spent["completion_tokens"] > 0
    assert since("cost_usd_total", member="a") == pytest.approx(spent["cost_usd"])
    assert since("overhead_seconds_count", **where) == 1
    assert 0 < since("overhead_seconds_sum", **where) < since("request_duration_seconds_sum", **where) + 1e-9


def test_what_a_call_cost_that_nobody_knows_is_not_zero(server: GatewayServer) -> None:
    since = Since(server)
    ask(server, "b")
    assert soon(lambda: since("calls_cost_unknown_total", member="b")) == 1
    assert ("coterie_cost_usd_total", frozenset({("member", "b")})) not in parsed(page(server).text)


def test_what_went_wrong_is_counted_by_its_kind(server: GatewayServer) -> None:
    since = Since(server)
    for model in ("broken", "leaks", "no-such-model"):
        with pytest.raises(openai.APIStatusError):
            ask(server, model)
    assert soon(lambda: since("refusals_total", route=CHAT, code="model_not_found")) == 1
    assert since("calls_total", member="broken", outcome="connection") == 1
    assert since("calls_total", member="leaks", outcome="http") == 1
    assert since("refusals_total", route=CHAT, code="upstream_failed") == 2
    assert since("requests_total", route=CHAT, model="broken", status="502") == 1
    assert since("requests_total", route=CHAT, model="", status="404") == 1


def test_a_key_that_asks_too_often_is_counted(server: GatewayServer) -> None:
    since = Since(server)
    ask(server, "a", OTHER_KEY)
    with pytest.raises(openai.RateLimitError):
        ask(server, "a", OTHER_KEY)
    assert soon(lambda: since("refusals_total", route=CHAT, code="rate_limit_exceeded")) == 1


def test_streams_have_a_first_byte_and_failures_in_mid_stream_count(server: GatewayServer) -> None:
    since = Since(server)
    ask(server, "written", stream=True)
    with pytest.raises(openai.APIError):
        ask(server, "midway", stream=True)
    assert soon(lambda: since("refusals_total", route=CHAT, code="answer_withdrawn")) == 1
    assert since("requests_total", route=CHAT, model="midway", status="200") == 1
    assert since("runs_total", model="midway", status="no_answer") == 1
    assert since("first_byte_seconds_count", route=CHAT, model="written") == 1
    assert since("first_byte_seconds_sum", route=CHAT, model="written") >= 0.01


def test_retries_cached_and_reasoning_tokens_are_counted(server: GatewayServer) -> None:
    since = Since(server)
    ask(server, "busy_once")
    ask(server, "cached")
    assert soon(lambda: since("cached_tokens_total", member="cached")) == 64
    assert since("reasoning_tokens_total", member="cached") == 8
    assert since("retries_total", member="busy_once") == 1


def test_a_cost_that_an_endpoint_made_up_is_unknown(server: GatewayServer) -> None:
    since = Since(server)
    ask(server, "made_up_price")
    assert soon(lambda: since("calls_cost_unknown_total", member="made_up_price")) == 1
    assert since("cost_usd_total", member="made_up_price") == 0


def test_requests_in_flight_come_and_go(server: GatewayServer) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
        asked: Any = {"model": "slow", "messages": [{"role": "user", "content": "?"}], "stream": True}
        answer = client.chat.completions.create(**asked)
        assert at(parsed(page(server).text), "requests_in_flight") == 2  # this one, and who asks for metrics
        answer.close()
    soon(lambda: at(parsed(page(server).text), "requests_in_flight") == 1)
    assert soon(lambda: at(parsed(page(server).text), "runs_total", model="slow", status="cancelled")) == 1


def test_a_page_needs_a_key_that_may_read_it(server: GatewayServer) -> None:
    assert httpx2.get(f"{server.url}/metrics").status_code == 401
    assert page(server, "ck-guessed").status_code == 401
    refused = page(server, OTHER_KEY)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "metrics_not_allowed"
    assert page(server).headers["content-type"].startswith("text/plain; version=")


def test_without_keys_a_page_is_for_this_machine(server: GatewayServer) -> None:
    made = Config({"a": ScriptedMember("a", ("Paris",))}, {"default": Vote(("a",))})
    with GatewayServer(made) as keyless:  # beside the other: each application counts for itself
        counts = parsed(httpx2.get(f"{keyless.url}/metrics").text)
        assert at(counts, "requests_in_flight") == 1
        assert not [labels for name, labels in counts if name == "coterie_calls_total"]
        elsewhere = httpx2.get(f"{keyless.url}/metrics", headers={"Origin": "https://elsewhere.example"})
        assert elsewhere.status_code == 403


def test_open_metrics_are_told_to_who_asks_for_them(server: GatewayServer) -> None:
    told = page(server, accept="application/openmetrics-text; version=1.0.0, text/plain; q=0.5")
    assert told.headers["content-type"].startswith("application/openmetrics-text")
    families = open_metrics(told.text)  # type: ignore[no-untyped-call]
    assert {"coterie_requests", "coterie_calls"} <= {family.name for family in families}
    assert page(server, accept='application/openmetrics-text; version="x"; escaping=evil').status_code == 200


def test_what_a_client_makes_up_adds_no_series(server: GatewayServer) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

    def post(path: str, model: str, method: str = "POST", **more: str) -> int:
        asked: dict[str, dict[str, Any]] = {
            "/v1/responses": {"input": "?"},
            "/v1/embeddings": {"input": "?"},
            "/v1/messages": {"max_tokens": 9},
        }
        said = {} if "input" in asked.get(path, {}) else {"messages": [{"role": "user", "content": "?"}]}
        body = json.dumps({"model": model, **said, **asked.get(path, {})})
        connection.request(method, path, body, {**headers, **more})
        answered = connection.getresponse()
        answered.read()
        return answered.status

    def ask_oddly(n: int) -> None:
        assert post(CHAT, f"odd-{n}\n") == 404
        assert post("/v1/responses", f"odd-{n}") == 404
        assert post("/v1/messages", f"odd-{n}") == 404
        assert post("/v1/embeddings", f"odd-{n}") == 404
        assert post(f"/v1/odd/{n}", "a") == 404
        assert post(f"/v1/models/odd-{n}", "a", "GET", **{"x-request-id": f"odd-{n}"}) == 404
        assert post(CHAT, f"router-random-0.{n + 1}") == 200
        assert post(CHAT, "a", f"ODD{n}") in (400, 405)

    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        ask_oddly(0)
        for threshold in (0, 1):  # so that both members have been asked
            assert post(CHAT, f"router-random-{threshold}") == 200
        series = set(parsed(page(server).text))
        for n in range(1, 125):
            ask_oddly(n)
    counts = parsed(page(server).text)
    assert set(counts) == series
    assert at(counts, "requests_total", route=CHAT, model="router-random", status="200") == 127
    assert not [labels for _, labels in series if any("odd" in value for _, value in labels)]


def test_no_secret_and_no_word_of_anybody_stands_in_metrics(server: GatewayServer) -> None:
    for model in (*EVERY_MODEL, "unknown"):
        for stream in (False, True):
            with suppress(openai.APIError):
                ask(server, model, stream=stream, user="Zanzibarquux")
    text = page(server).text
    assert at(parsed(text), "calls_total", member="leaks", outcome="http") >= 2
    assert not leaked(text)
    assert "reporting" not in text  # not even who asked


# ---- without a server -------------------------------------------------------------------------


def visit_of(trace: Trace) -> Visit:
    return Visit("req_1", "POST", route=CHAT, model="a", status=200, took_s=0.5, traces=[trace])


@pytest.fixture(scope="module")
def trace() -> Trace:
    member = ScriptedMember("a", (Reply("Paris"),), price=Price(1.0, 1.0))
    with Committee([member], {"default": Vote(("a",))}) as committee:
        return committee.ask("The capital of France?").trace


def test_watching_a_visit_takes_microseconds(trace: Trace) -> None:
    metrics, visit, rounds = Metrics(), visit_of(trace), 2000
    began = time.thread_time()
    for _ in range(rounds):
        metrics.arrived(visit)
        metrics.left(visit)
    took_us = (time.thread_time() - began) / rounds * 1e6
    assert took_us < 100  # benchmarks/watchers.py: 8; what is held here is that nothing slow creeps in


WORKER = """
import sys, time
from coterie.gateway.watching.metrics import Metrics
from coterie.gateway.visit import Visit
metrics = Metrics()
for n in range(int(sys.argv[1])):
    visit = Visit(str(n), "POST", route="/v1/models", status=200, took_s=0.01)
    metrics.arrived(visit)
    metrics.left(visit)
metrics.arrived(Visit("open", "POST"))
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(metrics.page()[0].decode())
"""


def test_workers_are_told_together_and_the_dead_have_nothing_in_flight(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(many)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for many in (3, 4)
    ]  # fmt: skip
    first, second = workers
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=10)
        told, _ = second.communicate("\n", timeout=10)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    counts = parsed(told)
    assert at(counts, "requests_total", route="/v1/models", model="", status="200") == 7
    assert at(counts, "request_duration_seconds_count", route="/v1/models", model="") == 7
    assert at(counts, "requests_in_flight") == 1


def test_keys_that_may_read_metrics_must_exist() -> None:
    key = ApiKey("reporting", "sha256:" + 64 * "0")
    GatewaySettings((key,), metrics_keys=("reporting",))
    with pytest.raises(ValueError, match="metrics_keys must be ids of keys, unlike \\['nobody'\\]"):
        GatewaySettings((key,), metrics_keys=("nobody",))
    with pytest.raises(ConfigError, match="log"):
        config.load({"members": {"a": {"engine": "scripted", "replies": ["x"]}}, "gateway": {"log": "everything"}})
