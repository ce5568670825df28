"""The end of a gateway: who is under way is answered or told why not, and nobody is cut off without a word."""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coterie.config import Config
from coterie.gateway.serving import ending
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.protocols import Method
from gateway_process import Asking, GatewayProcess, events, within
from gateway_server import GatewayServer

CONFIG = """
members:
  quick: {engine: scripted, replies: [{text: Paris, latency_s: 0.4}]}
  endless: {engine: scripted, replies: [{text: Paris, hang: true}]}
methods:
  default: {kind: vote, members: [quick]}
"""


def test_told_to_stop_it_answers_who_is_under_way_and_tells_the_others_why_not(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG, "--drain-s", "1") as server:
        asking = Asking(server)
        for model, stream in (("quick", False), ("quick", True), ("endless", False), ("endless", True)):
            asking.begin(model, stream=stream)
        time.sleep(0.25)
        server.tell(signal.SIGTERM)
        began = time.monotonic()
        answered, streamed, ended, broken = asking.ended()
        assert server.process.wait(10) == 0
        assert 0.9 < time.monotonic() - began < 4.0
        assert answered.json()["choices"][0]["message"]["content"] == "Paris"
        assert events(streamed)[-1] == "[DONE]"
        assert (ended.status_code, ended.json()["error"]["code"]) == (503, "shutting_down")
        assert ended.headers["x-should-retry"] == "false", "its calls may have cost something"
        assert broken.status_code == 200
        assert events(broken)[-1]["error"]["code"] == "shutting_down"
        assert "requests ended before they were done: 2" in server.log
        assert "Traceback" not in server.log
        with pytest.raises(httpx2.ConnectError):
            server.get("/health/live")


def test_it_says_that_it_drains_while_it_still_serves_and_told_again_it_ends_now(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, CONFIG, "--drain-s", "60", "--notice-s", "60") as server:
        asking = Asking(server)
        asking.begin("endless")
        time.sleep(0.2)
        server.tell(signal.SIGINT)
        assert within(2, lambda: server.get("/health/ready").status_code == 503)
        assert server.get("/health/ready").json() == {"status": "draining"}
        assert server.says("quick") == "Paris"
        server.tell(signal.SIGINT)
        began = time.monotonic()
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 2
        assert asking.ended()[0].json()["error"]["code"] == "shutting_down"


@pytest.fixture(scope="module")
def endless() -> Iterator[GatewayServer]:
    """Members that never answer, alone and together."""
    members = {name: ScriptedMember(name, (Reply("Paris", pieces=2, hang=True),)) for name in "abc"}
    methods: dict[str, Method] = {"vote": Vote(("a", "b")), "blend": PeerBlend(("a", "b", "c"))}
    with GatewayServer(Config(members, methods)) as running:
        yield running


ASKED = [{"role": "user", "content": "?"}]
UNDER_WAY: dict[str, tuple[str, dict[str, Any]]] = {
    "member": ("chat/completions", {"model": "a", "messages": ASKED}),
    "several_choices": ("chat/completions", {"model": "a", "messages": ASKED, "n": 3}),
    "vote": ("chat/completions", {"model": "coterie/vote", "messages": ASKED}),
    "blend": ("chat/completions", {"model": "coterie/blend", "messages": ASKED}),
    "responses": ("responses", {"model": "coterie/vote", "input": "?"}),
    "messages": ("messages", {"model": "coterie/vote", "messages": ASKED, "max_tokens": 9}),
}


WAYS = [
    (name, stream)
    for name, (_, asked) in UNDER_WAY.items()
    for stream in (False, True)
    if not (stream and "n" in asked)
]
"""Several choices are not streamed."""


@pytest.mark.parametrize(("name", "stream"), WAYS)
def test_whatever_is_ended_says_so_in_its_own_form(endless: GatewayServer, name: str, stream: bool) -> None:
    path, asked = UNDER_WAY[name]
    answers: list[httpx2.Response] = []
    url = f"{endless.base_url}/{path}"
    post = functools.partial(httpx2.post, url, json={**asked, "stream": stream}, timeout=10, verify=False)
    client = threading.Thread(target=lambda: answers.append(post()))
    client.start()
    assert endless.within(5, lambda desk: bool(desk.shift.requests))
    time.sleep(0.03)
    endless.end()
    client.join(10)
    assert "shutting_down" in answers[0].text or "overloaded_error" in answers[0].text
    assert answers[0].status_code == (200 if stream else 503)
    assert "[DONE]" not in answers[0].text
    assert endless.within(5, lambda desk: desk.admission.under_way == 0)


def test_another_cancellation_is_none_of_the_gateways() -> None:
    with pytest.raises(asyncio.CancelledError):
        ending.refusal(asyncio.CancelledError("of somebody else"))
    assert ending.refusal(asyncio.CancelledError(ending.ENDED)).status == 503


def test_ending_waits_for_no_request_that_does_not_let_go() -> None:
    async def main() -> float:
        async def stubborn() -> None:
            while True:
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    if over:
                        raise

        over: list[bool] = []
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        began = time.monotonic()
        await ending.end([task], 0.05)
        took_s = time.monotonic() - began
        over.append(True)
        task.cancel()
        await asyncio.wait([task])
        return took_s

    assert asyncio.run(main()) < 1.0
