"""Another configuration while requests are under way: they end on what they began with, and none is dropped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coterie.config import ApiKey, BreakerSettings, Config, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway.keys import create, hashed
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.types import FailureKind
from gateway_process import GatewayProcess, load, within
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply as Http

KEY, LATER = create(), create()


def made(says: str, latency_s: float = 0.0, **gateway: object) -> Config:
    keys = gateway.pop("keys", (ApiKey("one", hashed(KEY)),))
    member = ScriptedMember("a", (Reply(says, latency_s=latency_s, pieces=3, piece_s=latency_s / 3),))
    settings = GatewaySettings(keys, **gateway)  # type: ignore[arg-type]
    return Config({"a": member}, {"default": Vote(("a",))}, gateway=settings)


@pytest.fixture
def server() -> Iterator[GatewayServer]:
    with GatewayServer(made("before", 0.3)) as running:
        yield running


def ask(server: GatewayServer, key: str = KEY, *, stream: bool = False) -> httpx2.Response:
    asked = {"model": "a", "messages": [{"role": "user", "content": "?"}], "stream": stream}
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{server.base_url}/chat/completions", json=asked, headers=headers, timeout=10, verify=False)


def says(response: httpx2.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def test_who_is_under_way_ends_on_what_it_began_with_and_who_comes_meets_the_new(server: GatewayServer) -> None:
    answers: dict[bool, httpx2.Response] = {}

    def begin(stream: bool) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({stream: ask(server, stream=stream)}))
        thread.start()
        return thread

    asking = [begin(False), begin(True)]
    assert server.within(5, lambda desk: desk.admission.under_way == 2)
    before = server.desk.service
    server.replace(made("after"))
    assert says(ask(server)) == "after"
    assert not answers, "the earlier ones are still under way"
    assert server.within(0, lambda _: before.committee.breakers != {}), "their committee is open"
    for thread in asking:
        thread.join(10)
    assert says(answers[False]) == "before"
    assert answers[True].text.count("data: ") >= 3
    assert "data: [DONE]" in answers[True].text
    assert "error" not in answers[True].text
    assert server.within(5, lambda _: before.committee.breakers == {}), "it was closed once the last had left"


def test_under_load_no_request_is_dropped(server: GatewayServer) -> None:
    server.replace(made("0"))
    statuses: list[int] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            statuses.append(ask(server).status_code)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    replaced = 0
    while len(statuses) < 30 or replaced < 10:
        assert replaced < 10_000
        replaced += 1
        server.replace(made(str(replaced)))
    over.set()
    for thread in clients:
        thread.join(10)
    assert set(statuses) == {200}
    assert says(ask(server)) == str(replaced)


def test_keys_bounds_and_models_are_the_new_ones(server: GatewayServer) -> None:
    assert ask(server, LATER).status_code == 401
    server.replace(made("after", keys=(ApiKey("two", hashed(LATER)),), max_requests=7, max_bodies_mib=64))
    assert ask(server, KEY).status_code == 401
    assert ask(server, LATER).status_code == 200
    assert server.desk.admission.settings.max_requests == 7
    assert server.desk.bodies.most_bytes == 64 << 20


def test_who_waits_for_a_place_meets_the_new_and_its_bounds(server: GatewayServer) -> None:
    server.replace(made("before", 0.3, max_requests=1))
    answers: list[str] = []
    asking = [threading.Thread(target=lambda: answers.append(says(ask(server)))) for _ in range(3)]
    for thread in asking:
        thread.start()
    assert server.within(5, lambda desk: (desk.admission.under_way, desk.admission.waiting) == (1, 2))
    server.replace(made("after", max_requests=5))
    for thread in asking:
        thread.join(10)
    assert sorted(answers) == ["after", "after", "before"]


def test_what_a_breaker_knew_is_forgotten_with_its_configuration() -> None:
    ill = ScriptedMember("a", (Reply(fail=FailureKind.CONNECTION),), retries=0)
    settings = GatewaySettings(breaker=BreakerSettings(failures=2))
    with GatewayServer(Config({"a": ill}, gateway=settings)) as server:
        statuses = [ask(server).status_code for _ in range(3)]
        assert statuses == [502, 502, 503]
        ready = httpx2.get(f"{server.url}/health/ready").json()
        assert ready == {"status": "degraded", "members": {"a": "resting"}}
        refused = ask(server)
        assert refused.json()["error"]["code"] == "members_unavailable"
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert refused.headers["x-should-retry"] == "true"
        server.replace(made("back", keys=()))
        assert says(ask(server)) == "back"
        assert httpx2.get(f"{server.url}/health/ready").json()["status"] == "ready"


def test_members_are_open_and_were_looked_at_before_anybody_meets_them() -> None:
    with FaultServer({"m": Http("Paris")}) as upstream, GatewayServer(made("before", keys=())) as server:
        server.replace(Config({"a": OpenAIMember("a", upstream.base_url, "m")}))
        assert server.within(5, lambda _: upstream.connections >= 1)
        assert server.desk.service.health.report == {"status": "ready", "members": {"a": "reachable"}}
        assert says(ask(server)) == "Paris"


def test_a_configuration_that_cannot_be_served_changes_nothing(server: GatewayServer) -> None:
    before = server.desk.service
    with pytest.raises(ConfigError, match="absent"):
        server.replace(Config({"a": ScriptedMember("a", ("x",))}, {"default": Vote(("absent",))}))
    assert server.desk.service is before
    assert says(ask(server)) == "before"


CONFIG = """
members:
  a: {{engine: scripted, replies: [{{text: {says}, latency_s: 0.02}}]}}
methods:
  default: {{kind: vote, members: [a]}}
"""


def test_a_signal_reads_the_file_again_and_what_is_wrong_there_is_refused(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG.format(says="before")) as server:
        assert server.says() == "before"
        server.file.write_text("members: [")
        server.tell(signal.SIGHUP)
        assert within(5, lambda: "cannot be served, so the one before goes on" in server.log)
        assert "no YAML" in server.log
        assert server.says() == "before"
        with load(server, "a", clients=2) as outcomes:
            assert within(5, lambda: len(outcomes) > 3)
            server.file.write_text(CONFIG.format(says="after"))
            server.tell(signal.SIGHUP)
            assert within(5, lambda: server.says() == "after")
        assert {getattr(outcome, "status_code", outcome) for outcome in outcomes} == {200}
        server.tell(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.log
