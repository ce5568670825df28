"""API keys: who may ask, what, how often, and for how much."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx2
import openai
import pytest

from coterie import config
from coterie.config import ApiKey, Config, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway.keys import create, hashed
from coterie.gateway.serving import check_address
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.types import Price
from gateway_server import GatewayServer

ALL, NARROW, POOR, SELDOM = (create() for _ in range(4))
KEYS = (
    ApiKey("all", hashed(ALL)),
    ApiKey("narrow", hashed(NARROW), models=("coterie/default",)),
    ApiKey("poor", hashed(POOR), max_usd=1e-6),
    ApiKey("seldom", hashed(SELDOM), requests_per_minute=2),
)


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    member = ScriptedMember("a", ("Paris",), price=Price(1.0, 1.0))
    made = Config({"a": member}, {"default": Vote(("a",))}, gateway=GatewaySettings(KEYS))
    with GatewayServer(made) as running:
        yield running


def ask(
    server: GatewayServer, key: str, model: str = "coterie/default", stream: bool = False, timeout_s: float = 10.0
) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=timeout_s) as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "The capital of France?"}], stream=stream
        )
        if stream:
            list(answer)


def test_a_key_that_nobody_made_is_not_known(server: GatewayServer) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(server, "ck-guessed")
    assert caught.value.code == "invalid_api_key"
    assert caught.value.type == "authentication_error"
    assert "ck-guessed" not in caught.value.message
    assert caught.value.response.headers["www-authenticate"] == "Bearer"


def test_a_key_may_ask_what_it_is_for(server: GatewayServer) -> None:
    ask(server, ALL, "a")
    ask(server, NARROW)
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask(server, NARROW, "a")
    assert caught.value.type == "permission_error"
    with openai.OpenAI(base_url=server.base_url, api_key=NARROW) as client:
        assert [model.id for model in client.models.list()] == ["coterie/default"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_spent_is_booked(stream: bool) -> None:
    member = ScriptedMember("a", ("Paris",), price=Price(1.0, 1.0))
    made = Config({"a": member}, {"default": Vote(("a",))}, gateway=GatewaySettings(KEYS))
    with GatewayServer(made) as server:
        ask(server, POOR, stream=stream)
        with pytest.raises(openai.RateLimitError) as caught:
            ask(server, POOR, stream=stream)
    assert caught.value.code == caught.value.type == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_client_spent_that_left_is_booked(stream: bool) -> None:
    members = {
        "a": ScriptedMember("a", ("Paris",), price=Price(1.0, 1.0)),
        "hangs": ScriptedMember("hangs", (Reply(hang=True),)),
    }
    methods = {"default": Vote(("a", "hangs")), "quick": Vote(("a",))}
    with GatewayServer(Config(members, methods, gateway=GatewaySettings(KEYS))) as server:
        with pytest.raises((openai.APIError, httpx2.TimeoutException)):
            ask(server, POOR, stream=stream, timeout_s=0.2)
        time.sleep(0.1)
        with pytest.raises(openai.RateLimitError, match="has used up"):
            ask(server, POOR, "coterie/quick")


def test_a_key_that_asks_too_often_is_told_when_to_come_back(server: GatewayServer) -> None:
    ask(server, SELDOM)
    ask(server, SELDOM)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(server, SELDOM)
    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 30
    assert caught.value.response.headers["x-should-retry"] == "true"


def test_only_this_machine_is_served_without_keys() -> None:
    member = ScriptedMember("a", ("Paris",))
    for host in ("127.0.0.1", "::1", "localhost"):
        check_address(host, Config({"a": member}))
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        with pytest.raises(ConfigError, match="coterie keys create"):
            check_address(host, Config({"a": member}))
    check_address("0.0.0.0", Config({"a": member}, gateway=GatewaySettings(KEYS)))


SECTION = {"members": {"a": {"engine": "scripted", "replies": ["x"]}}}


def test_the_configuration_holds_hashes() -> None:
    made = config.load({**SECTION, "gateway": {"keys": [{"id": "me", "hash": hashed(ALL), "max_usd": 5}]}})
    assert made.gateway.keys == (ApiKey("me", hashed(ALL), max_usd=5.0),)


@pytest.mark.parametrize(
    "keys",
    [
        [{"id": "me", "hash": ALL}],
        [{"id": "me"}],
        [{"id": "", "hash": hashed(ALL)}],
        [{"id": "me", "hash": hashed(ALL), "max_usd": 0}],
        [{"id": "me", "hash": hashed(ALL)}, {"id": "me", "hash": hashed(POOR)}],
        [ALL],
        ALL,
        {"id": "me"},
    ],
    ids=range(8),
)
def test_a_key_that_is_none_is_refused_without_being_quoted(keys: object) -> None:
    with pytest.raises(ConfigError, match="gateway") as caught:
        config.load({**SECTION, "gateway": {"keys": keys}})
    assert ALL not in json.dumps(str(caught.value))
