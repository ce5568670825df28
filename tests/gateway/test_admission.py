"""Admission: how many are let in, who waits and for how long, and what those are told who are one too many."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import config
from coterie.config import ApiKey, Config, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway.body_room import BodyRoom
from coterie.gateway.desk.places import Places
from coterie.gateway.keys import create, hashed
from coterie.gateway.refusal import Refusal
from coterie.members.scripted import Reply, ScriptedMember
from gateway_server import GatewayServer

BOUND, FREE = create(), create()
KEYS = (ApiKey("bound", hashed(BOUND), max_concurrency=1), ApiKey("free", hashed(FREE)))
MEMBERS = {
    "slow": ScriptedMember("slow", (Reply("Paris", latency_s=0.15),)),
    "long": ScriptedMember("long", (Reply("Paris", pieces=4, piece_s=0.05),)),
    "hangs": ScriptedMember("hangs", (Reply(hang=True),)),
}


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    """Two places, and two to wait in."""
    settings = GatewaySettings(KEYS, max_requests=2, max_waiting=2, max_wait_s=0.5, max_bodies_mib=32)
    with GatewayServer(Config(MEMBERS, gateway=settings)) as running:
        yield running


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "The capital of France?"}], **more}


@dataclass
class Clients:
    """Several requests at once, and how each was answered."""

    server: GatewayServer
    tasks: list[asyncio.Task[httpx2.Response]] = field(default_factory=list)

    async def __aenter__(self) -> Clients:
        self.http = httpx2.AsyncClient(base_url=self.server.base_url, timeout=10)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.aclose()

    def ask(self, model: str, key: str = FREE, **more: Any) -> asyncio.Task[httpx2.Response]:
        headers = {"authorization": f"Bearer {key}"}
        post = self.http.post("/chat/completions", json=body(model, **more), headers=headers)
        self.tasks.append(asyncio.ensure_future(post))
        return self.tasks[-1]

    async def until(self, under_way: int, waiting: int) -> None:
        """Returns when so many are under way, and so many wait."""
        ends = time.monotonic() + 5
        admission = self.server.desk.admission
        while (admission.under_way, admission.waiting) != (under_way, waiting):
            assert time.monotonic() < ends, (admission.under_way, admission.waiting)
            await asyncio.sleep(0.002)


def idle(server: GatewayServer) -> bool:
    """True once all places and all room are free again."""
    return server.within(5, lambda d: (d.admission.under_way, d.admission.waiting, d.bodies.held_bytes) == (0, 0, 0))


def refusal(response: httpx2.Response) -> tuple[int, str]:
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["x-should-retry"] == "true"
    return response.status_code, response.json()["error"]["code"]


HEAD = (
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {FREE}\r\n"
    f"Content-Type: application/json\r\nContent-Length: {20 << 20}\r\n\r\n"
).encode()


# ---- places -----------------------------------------------------------------------------------


def test_who_came_first_is_let_in_first() -> None:
    async def main() -> None:
        places = Places(1)
        assert places.take()
        assert not places.take()
        let_in: list[int] = []

        async def wait(n: int) -> None:
            assert await places.wait(5, asyncio.get_running_loop().create_future())
            let_in.append(n)
            places.give_back()

        waiting = [asyncio.ensure_future(wait(n)) for n in range(5)]
        await asyncio.sleep(0)
        assert places.waiting == 5
        places.give_back()
        await asyncio.gather(*waiting)
        assert let_in == [0, 1, 2, 3, 4]
        assert (places.taken, places.waiting) == (0, 0)

    asyncio.run(main())


def test_who_comes_while_others_wait_does_not_pass_them() -> None:
    async def main() -> None:
        places = Places(1)
        assert places.take()
        waiting = asyncio.ensure_future(places.wait(5, asyncio.get_running_loop().create_future()))
        await asyncio.sleep(0)
        places.give_back()
        assert not places.take(), "the place is the waiting one's, although it has not noticed yet"
        assert await waiting

    asyncio.run(main())


def test_a_place_that_is_given_to_one_who_is_cancelled_is_the_next_ones() -> None:
    async def main() -> None:
        places = Places(1)
        assert places.take()
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        first, second = (asyncio.ensure_future(places.wait(5, never)) for _ in range(2))
        await asyncio.sleep(0)
        places.give_back()
        first.cancel()
        assert await second
        places.give_back()
        assert (places.taken, places.waiting) == (0, 0)

    asyncio.run(main())


@given(st.lists(st.sampled_from(["come", "leave", "give_up", "more", "fewer"]), max_size=40))
def test_no_place_is_lost_and_none_is_given_twice(steps: list[str]) -> None:
    async def main() -> None:
        most, places = 2, Places(2)
        inside = 0
        waiting: list[asyncio.Task[bool]] = []
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for step in steps:
            if step == "come" and places.take():
                inside += 1
            elif step == "come":
                waiting.append(asyncio.ensure_future(places.wait(60, never)))
            elif step == "leave" and inside:
                places.give_back(1.0)
                inside -= 1
            elif step == "give_up" and waiting:
                waiting.pop(len(waiting) // 2).cancel()
            elif step in ("more", "fewer"):
                most = max(1, most + (1 if step == "more" else -1))
                places.resize(most)
            for _ in range(4):
                await asyncio.sleep(0)
            inside += sum(task.done() for task in waiting)
            waiting = [task for task in waiting if not task.done()]
            assert places.taken == inside
            assert places.waiting == len(waiting)
            assert not waiting or inside >= most, "nobody waits beside a free place"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())


def test_the_wait_that_is_told_follows_from_how_long_places_are_held() -> None:
    async def main() -> None:
        places = Places(2)
        assert places.wait_s == 1.0, "nothing is known yet"
        for _ in range(2):
            assert places.take()
        places.give_back(12.0)
        assert places.take()
        assert places.wait_s == 6.0, "one of two places is free every six seconds"
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        others = [asyncio.ensure_future(places.wait(5, never)) for _ in range(2)]
        await asyncio.sleep(0)
        assert places.wait_s == 18.0
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        places.give_back(3600.0)
        assert places.wait_s == 60.0, "nobody is told to come again in an hour"

    asyncio.run(main())


# ---- over the wire ----------------------------------------------------------------------------


def test_who_finds_no_place_waits_and_who_finds_no_room_to_wait_is_told_to_come_again(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            let_in = [clients.ask("slow") for _ in range(4)]
            await clients.until(2, 2)
            began = time.monotonic()
            assert refusal(await clients.ask("slow")) == (503, "overloaded")
            assert time.monotonic() - began < 0.4
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HEAD)
            assert b" 503 " in await asyncio.wait_for(reader.readline(), 1), "its body is not waited for"
            writer.close()
            assert [(await task).status_code for task in let_in] == [200] * 4

    asyncio.run(main())
    assert idle(server)


def test_nobody_waits_longer_than_max_wait_s(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            for _ in range(2):
                clients.ask("hangs")
            await clients.until(2, 0)
            began = time.monotonic()
            assert refusal(await clients.ask("slow")) == (503, "overloaded")
            assert 0.4 < time.monotonic() - began < 3.0

    asyncio.run(main())
    assert idle(server)


def test_who_waits_and_goes_away_makes_room_at_once(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            for _ in range(2):
                clients.ask("hangs")
            await clients.until(2, 0)
            waiting = clients.ask("slow")
            await clients.until(2, 1)
            waiting.cancel()
            began = time.monotonic()
            await clients.until(2, 0)
            assert time.monotonic() - began < 0.4

    asyncio.run(main())
    assert idle(server)


def test_a_stream_holds_its_place_until_its_last_byte(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            headers = {"authorization": f"Bearer {FREE}"}
            asked = body("long", stream=True)
            async with clients.http.stream("POST", "/chat/completions", json=asked, headers=headers) as response:
                lines = response.aiter_lines()
                async for line in lines:
                    assert server.desk.admission.under_way == 1
                    if "Pa" in line:
                        break
                assert response.headers["content-type"].startswith("text/event-stream")
                assert "data: [DONE]" in [line async for line in lines]
            await clients.until(0, 0)

    asyncio.run(main())


def test_one_key_cannot_take_all_places(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            mine = clients.ask("slow", BOUND)
            await clients.until(1, 0)
            next_one = clients.ask("slow", BOUND)
            await clients.until(1, 1)
            assert refusal(await clients.ask("slow", BOUND)) == (429, "concurrency_limit_exceeded")
            other = clients.ask("slow", FREE)
            await clients.until(2, 1)
            assert [(await task).status_code for task in (mine, other, next_one)] == [200] * 3

    asyncio.run(main())
    assert idle(server)


def test_reading_models_needs_no_place(server: GatewayServer) -> None:
    async def main() -> None:
        async with Clients(server) as clients:
            for _ in range(2):
                clients.ask("hangs")
            await clients.until(2, 0)
            listed = await clients.http.get("/models", headers={"authorization": f"Bearer {FREE}"})
            assert listed.status_code == 200

    asyncio.run(main())
    assert idle(server)


# ---- bodies -----------------------------------------------------------------------------------


def test_bodies_that_together_are_too_large_are_refused_and_their_room_is_given_back() -> None:
    room = BodyRoom(100)
    with room.share() as first:
        first.grow(60)
        first.grow(40)
        with pytest.raises(Refusal) as caught, room.share() as second:
            second.grow(1)
        assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "overloaded", 1.0)
        assert room.held_bytes == 100
    assert room.held_bytes == 0


def test_a_body_that_is_still_arriving_counts(server: GatewayServer) -> None:
    size = 20 << 20
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as slow:
        slow.sendall(HEAD + b" " * (size - 1))
        assert server.within(5, lambda desk: desk.bodies.held_bytes >= size - (1 << 20))
        with httpx2.Client(base_url=server.base_url, timeout=10) as http:
            large = json.dumps(body("slow")).encode() + b" " * size
            headers = {"authorization": f"Bearer {FREE}", "content-type": "application/json"}
            refused = http.post("/chat/completions", content=large, headers=headers)
            assert refusal(refused) == (503, "overloaded")
            small = http.post("/chat/completions", json=body("slow"), headers=headers)
            assert small.status_code == 200
    assert idle(server)


@pytest.mark.parametrize(
    "wrong", [{"max_requests": 0}, {"max_waiting": -1}, {"max_wait_s": "nan"}, {"max_bodies_mib": 31}]
)
def test_bounds_under_which_nobody_is_served_are_refused(wrong: dict[str, object]) -> None:
    given = {"members": {"a": {"engine": "scripted", "replies": ["x"]}}, "gateway": wrong}
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        config.load(given)
