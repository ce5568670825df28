"""The trace of a run for the key that made it, and feedback on it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from coterie.config import ApiKey, Config, GatewaySettings
from coterie.decisions import Best, Threshold
from coterie.gateway.keys import hashed
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.route import Route
from coterie.protocols import Method
from coterie.routers.pickllm import PickLLM
from coterie.store import Database
from coterie.trace import Trace
from gateway_server import GatewayServer

TEA, BOB = "ck-tea", "ck-bob"
KEYS = (ApiKey("tea", hashed(TEA)), ApiKey("bob", hashed(BOB)))


def made(store: Database | None = None, **settings: Any) -> Config:
    members = {
        "a": ScriptedMember("a", ("Paris",), latency_s=0.0),
        "b": ScriptedMember("b", ("Lyon",), latency_s=0.0),
        "broken": ScriptedMember("broken", (Reply(error="500 at http://10.0.0.7/secret"),)),
    }
    methods: dict[str, Method] = {
        "default": PeerBlend(("a", "b")),
        "route": Route(PickLLM(), ("a", "b"), Best()),
        "broken": Route(PickLLM(), ("broken",), Best()),
    }
    return Config(members, methods, store=store, gateway=GatewaySettings(KEYS, **settings))


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    with GatewayServer(made()) as running:
        yield running


def ask(server: GatewayServer, model: str = "coterie/default", key: str = TEA, **how: Any) -> Any:
    with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0) as client:
        said: Any = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Capital?"}], **how
        )
        return list(said) if how.get("stream") else said


def get(server: GatewayServer, id_: str, key: str = TEA, **headers: str) -> httpx2.Response:
    return httpx2.get(f"{server.base_url}/runs/{id_}", headers={"authorization": f"Bearer {key}", **headers})


def say(server: GatewayServer, key: str = TEA, **said: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{server.base_url}/feedback", json=said, headers=headers)


def code(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# ---- runs -------------------------------------------------------------------------------------


def test_a_run_is_found_by_the_answers_id_and_its_own(server: GatewayServer) -> None:
    answer = ask(server)
    by_answer, by_run = get(server, answer.id), get(server, answer.coterie["run_id"])
    assert by_answer.json() == by_run.json()
    assert by_answer.json()["object"] == "coterie.run"
    kinds = [event["event"] for event in by_answer.json()["events"]]
    assert [kinds[0], kinds[-1]] == ["run_started", "run_finished"]
    assert "Paris" in by_answer.text


def test_its_lines_are_a_trace_file(server: GatewayServer) -> None:
    answer = ask(server)
    lines = get(server, answer.id, accept="application/jsonl")
    assert lines.headers["content-type"].startswith("application/jsonl")
    trace = Trace.parse(lines.text.split("\n"))
    assert trace.started.run == answer.coterie["run_id"]
    assert trace.finished is not None
    assert trace.finished.status == "answered"


def test_a_stream_is_found_when_it_has_ended(server: GatewayServer) -> None:
    chunks = ask(server, stream=True)
    deadline = time.monotonic() + 2  # the client has its last chunk a moment before the visit ends
    while (found := get(server, chunks[0].id)).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found.status_code == 200


@pytest.mark.parametrize("key", [BOB, "ck-nobody"])
def test_nobody_else_finds_it(server: GatewayServer, key: str) -> None:
    answer = ask(server)
    mine, theirs = get(server, answer.id), get(server, answer.id, key)
    assert mine.status_code == 200
    assert "Paris" not in theirs.text
    assert "Capital" not in theirs.text
    if key == BOB:
        absent = get(server, "run-" + "0" * 32, key)
        assert code(theirs) == code(absent) == (404, "run_not_found")
        assert theirs.json() == absent.json()
    else:
        assert theirs.status_code == 401


@pytest.mark.parametrize("id_", ["run-1", "chatcmpl-", "x" * 5000, "%00", "..%2f..%2fkeys", "run-" + "g" * 32])
def test_what_is_no_id_is_not_found(server: GatewayServer, id_: str) -> None:
    assert get(server, id_).status_code == 404


def test_off_means_off() -> None:
    with GatewayServer(made(keep_runs_h=None)) as off:
        answer = ask(off)
        found = get(off, answer.id)
        assert code(found) == (404, "run_not_found")
        assert "off" in found.json()["error"]["message"]


def test_texts_reach_the_store_only_where_it_keeps_texts(tmp_path: Path) -> None:
    for keeps in (False, True):
        file = tmp_path / f"{keeps}.db"
        with GatewayServer(made(Database.at(str(file), keep_texts=keeps))) as running:
            answer = ask(running)
            assert get(running, answer.id).status_code == 200
        with closing(sqlite3.connect(file)) as database:
            kept = database.execute("SELECT scope, trace FROM coterie_run").fetchall()
        [(scope, trace)] = kept
        assert scope == "tea"
        assert "Paris" in trace if keeps else trace == ""


def test_another_process_finds_what_the_store_has(tmp_path: Path) -> None:
    store = Database.at(str(tmp_path / "store.db"), keep_texts=True)
    with GatewayServer(made(store)) as first:
        answer = ask(first)
    with GatewayServer(made(store)) as second:
        assert get(second, answer.id).json()["events"][0]["run"] == answer.coterie["run_id"]
        assert get(second, answer.id, BOB).status_code == 404


# ---- feedback ---------------------------------------------------------------------------------


def test_any_process_takes_feedback_on_a_run_whose_trace_it_has_not(tmp_path: Path) -> None:
    store = Database.at(str(tmp_path / "store.db"))
    with GatewayServer(made(store)) as first:
        answer = ask(first)
    with GatewayServer(made(store)) as second:
        assert code(get(second, answer.id)) == (404, "run_not_found")
        assert say(second, id=answer.id, rating=1.0).status_code == 200
        assert code(say(second, BOB, id=answer.id, rating=1.0)) == (404, "run_not_found")


def test_a_router_learns_from_it_once(server: GatewayServer) -> None:
    answer = ask(server, "coterie/route")
    first, again = say(server, id=answer.id, rating=1.0), say(server, id=answer.id, rating=1.0)
    assert first.json() == {
        "object": "coterie.feedback",
        "run_id": answer.coterie["run_id"],
        "learned": True,
        "why": "",
    }
    assert again.json()["learned"] is False
    assert say(server, id=answer.id, preferred="a", over="b").json()["learned"] is True


def test_it_is_kept_where_nothing_learns(server: GatewayServer) -> None:
    heard = say(server, id=ask(server).id, preferred="a", over="b", tie=True)
    assert heard.status_code == 200
    assert heard.json()["learned"] is False


def test_of_another_keys_run_nothing_is_heard(server: GatewayServer) -> None:
    for model in ("coterie/default", "coterie/route"):
        assert code(say(server, BOB, id=ask(server, model).id, rating=0.0)) == (404, "run_not_found")


def test_what_a_router_may_learn_from_outlives_the_trace() -> None:
    with GatewayServer(made(keep_runs_h=None)) as off:
        assert say(off, id=ask(off, "coterie/route").id, rating=1.0).json()["learned"] is True
        assert say(off, id=ask(off).id, rating=1.0).status_code == 404


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({}, "gives a rating"),
        ({"rating": 1.5}, "rating"),
        ({"rating": "good"}, "rating"),
        ({"rating": True}, "rating"),
        ({"preferred": "a"}, "two members"),
        ({"preferred": "a", "over": "a"}, "itself"),
        ({"preferred": "a", "over": "nobody"}, "not among the members"),
        ({"rating": 1.0, "mood": "fine"}, "mood"),
        ({"correction": ""}, "correction"),
        ({"correction": "x" * 20_001}, "correction"),
        ({"correction": "\ud83d"}, "no JSON"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
def test_what_is_no_feedback_is_refused(server: GatewayServer, said: dict[str, Any], named: str) -> None:
    id_ = ask(server).id
    body = json.dumps({"id": id_, **said}).encode()
    headers = {"authorization": f"Bearer {TEA}", "content-type": "application/json"}
    refused = httpx2.post(f"{server.base_url}/feedback", content=body, headers=headers)
    assert refused.status_code == 400
    assert named in refused.json()["error"]["message"]


def test_a_correction_is_kept_where_texts_are(tmp_path: Path) -> None:
    for keeps in (False, True):
        file = tmp_path / f"{keeps}.db"
        with GatewayServer(made(Database.at(str(file), keep_texts=keeps))) as running:
            heard = say(running, id=ask(running).id, correction="Canberra")
            assert heard.status_code == (200 if keeps else 400)
        with closing(sqlite3.connect(file)) as database:
            kept = " ".join(value for (value,) in database.execute("SELECT value FROM coterie_entry"))
        assert ("Canberra" in kept) is keeps


def test_feedback_costs_nothing() -> None:
    config = made()
    spent = (ApiKey("tea", hashed(TEA), max_calls=1),)
    with GatewayServer(Config(config.members, config.methods, gateway=GatewaySettings(spent))) as running:
        id_ = ask(running).id
        assert say(running, id=id_, rating=1.0).status_code == 200
        with pytest.raises(openai.RateLimitError):
            ask(running)


def test_feedback_counts_to_the_keys_rate() -> None:
    config = made()
    slow = (ApiKey("tea", hashed(TEA), requests_per_minute=2),)
    limited = Config(config.members, config.methods, gateway=GatewaySettings(slow))
    with GatewayServer(limited) as running:
        id_ = ask(running).id
        assert say(running, id=id_, rating=1.0).status_code == 200
        refused = say(running, id=id_, rating=0.0)
        assert code(refused) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) >= 1


def test_a_configuration_that_cannot_answer_says_so_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    members = {name: ScriptedMember(name, ("x",)) for name in ("a", "b")}  # of neither is a price known
    route = Route(PickLLM(), ("a", "b"), Threshold(0.5))
    with GatewayServer(Config(members, {"default": route})) as running, pytest.raises(openai.APIError) as caught:
        ask(running)
    assert caught.value.code == "misconfigured"
    assert "price" in caplog.text
    assert "price" not in str(caught.value)
