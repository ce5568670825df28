"""The end of a gateway: who is under way is answered or told why not, and nobody is cut off without a word."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import httpx2
import pytest

from coterie.gateway import ending
from gateway_process import Asking, GatewayProcess, events, within

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
