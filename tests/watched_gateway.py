"""A gateway whose requests are watched, and what must never be seen of them: test support, no test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import openai

from coterie.config import ApiKey, Config, GatewaySettings
from coterie.decisions import Threshold
from coterie.gateway.keys import create, hashed
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.route import Route
from coterie.methods.vote import Vote
from coterie.protocols import Method
from coterie.routers.random import Random
from coterie.types import FailureKind, Price, Secret
from gateway_server import GatewayServer
from http_replies import Reply as Http
from http_replies import Script, busy_once

QUESTION = "What did Zanzibarquux say in confidence?"
ANSWER = "Xylophonequux said nothing."
UPSTREAM_KEY = "sk-upstream-Wobblequux"
KEY, OTHER_KEY = create(), create()
SECRETS = ("Zanzibarquux", "Xylophonequux", "Wobblequux", KEY, OTHER_KEY, hashed(KEY).partition(":")[2])

HTTP: dict[str, Script] = {
    "good": Http(ANSWER),
    "written": Http(ANSWER, pieces=3, piece_delay_s=0.01),
    "leaks": Http(status=401, error={"message": f"bad key {UPSTREAM_KEY} for {QUESTION}"}),
    "busy_once": busy_once(lambda: "0.02"),
    "cached": Http(
        ANSWER,
        usage={
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
    ),
    "midway": Http(ANSWER, pieces=6, piece_delay_s=0.005, die_after_pieces=3),
    "made_up_price": Http(ANSWER, usage={"prompt_tokens": 1, "completion_tokens": 1, "cost": -5.0}),
}
EVERY_MODEL = (*(name for name in HTTP if name != "busy_once"), "broken", "coterie/default", "coterie/blend")
"""Those that answer each time alike."""


def watched(upstream: str, **gateway: Any) -> Config:
    """Members over HTTP behind `upstream`, scripted ones beside them, and keys."""
    http = {name: OpenAIMember(name, upstream, f"model-{name}", Secret(UPSTREAM_KEY), retries=1) for name in HTTP}
    scripted = {
        "a": ScriptedMember("a", (ANSWER,), price=Price(1.0, 2.0)),
        "b": ScriptedMember("b", (ANSWER,)),
        "broken": ScriptedMember("broken", (Reply(fail=FailureKind.CONNECTION, error=f"{QUESTION} {UPSTREAM_KEY}"),)),
        "slow": ScriptedMember("slow", (Reply(ANSWER, latency_s=0.5),)),
    }
    methods: dict[str, Method] = {
        "default": Vote(("a", "b", "broken")),
        "blend": PeerBlend(("a", "b"), aggregator="good"),
        "route": Route(Random(), ("a", "b"), decision=Threshold(0.5, ("b", "a"))),
    }
    keys = (ApiKey("reporting", hashed(KEY)), ApiKey("other", hashed(OTHER_KEY), requests_per_minute=1))
    return Config({**http, **scripted}, methods, gateway=GatewaySettings(**{"keys": keys, "breaker": None, **gateway}))


def scripts() -> dict[str, Script]:
    """What the upstream of `watched` says."""
    return {f"model-{name}": script for name, script in HTTP.items()}


def ask(server: GatewayServer, model: str, key: str = KEY, **how: Any) -> Any:
    """The answer; the chunks of a streamed one. Raises what the official client raises."""
    plain = openai.DefaultHttpxClient(verify=False)  # reading the machine's certificates takes longer than asking
    with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=10, http_client=plain) as client:
        question: Any = [{"role": "user", "content": QUESTION}]
        answer = client.chat.completions.create(**{"model": model, "messages": question, **how})
        return list(answer) if how.get("stream") else answer


def soon(found: Callable[[], Any]) -> Any:
    """What `found` gives once it is true: watchers are told when the last byte is sent, not before."""
    ends = time.monotonic() + 5
    while not (value := found()):
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.01)
    return value


def leaked(text: str) -> list[str]:
    """Which secrets stand in `text`."""
    return [secret for secret in SECRETS if secret in text]
