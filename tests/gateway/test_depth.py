"""A gateway that is its own member, and gateways behind gateways."""

from __future__ import annotations

import httpx2
import pytest

from coterie.config import Config
from coterie.members.openai import OpenAIMember
from coterie.methods.vote import Vote
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Reply


def ask(server: GatewayServer, model: str, **headers: str) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "?"}]}
    return httpx2.post(f"{server.base_url}/chat/completions", json=body, headers=headers, timeout=20)


def behind(url: str, model: str) -> Config:
    member = OpenAIMember("a", url, model, retries=2)
    return Config({"a": member}, {"default": Vote(("a",))})


def test_each_gateway_counts_itself() -> None:
    with (
        FaultServer({"deep": Reply("Paris")}) as upstream,
        GatewayServer(behind(upstream.base_url, "deep")) as inner,
        GatewayServer(behind(inner.base_url, "coterie/default")) as outer,
    ):
        assert ask(outer, "coterie/default").json()["choices"][0]["message"]["content"] == "Paris"
        assert [seen.headers["x-coterie-depth"] for seen in upstream.requests] == ["2"]


def test_a_circle_comes_to_an_end() -> None:
    with GatewayServer(behind("http://127.0.0.1:9/v1", "nobody")) as server:
        server.replace(behind(server.base_url, "coterie/default"))
        refused = ask(server, "coterie/default")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "upstream_refused"


@pytest.mark.parametrize(
    ("said", "code"), [("4", "too_deep"), ("99", "too_deep"), ("deep", "invalid_value"), ("-1", "invalid_value")]
)
def test_what_is_too_deep_is_refused(said: str, code: str) -> None:
    with FaultServer({"deep": Reply("Paris")}) as upstream, GatewayServer(behind(upstream.base_url, "deep")) as server:
        refused = ask(server, "a", **{"x-coterie-depth": said})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
        assert ask(server, "a", **{"x-coterie-depth": "3"}).status_code == 200
