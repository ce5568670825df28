"""Several answers out of one call: what goes to the endpoint, who gets what, and what it is counted for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import openai
import pytest

from coterie.config import Config
from coterie.errors import MemberError
from coterie.house import House
from coterie.members.choices import SIBLINGS
from coterie.members.openai import OpenAIMember
from coterie.types import Completion, Price, Request, Sampling, Usage
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Body, Reply


def side_by_side(body: Body, _: int) -> Reply:
    """As many choices as were asked for, and what they took together."""
    n = body.get("n", 1)
    return answer([f"answer {place}" for place in range(n)])


def answer(texts: Sequence[str]) -> Reply:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for n, text in enumerate(texts)
    ]
    document = {"choices": choices, "usage": {"prompt_tokens": 100, "completion_tokens": 10 * len(texts) + 1}}
    return Reply(body=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


def ask(server: FaultServer, model: str, count: int, expected: int | None = None, **settings: Any) -> list[Any]:
    member = OpenAIMember("a", server.base_url, model, choices=True, price=Price(1.0, 1.0), retries=0, **settings)

    async def main() -> list[Completion | BaseException]:
        async with House() as house:
            opened = await member.open(house)
            SIBLINGS.set(expected or count)
            requests = [Request.of("?", Sampling(seed=n)) for n in range(count)]
            asked = (opened.generate(request, None) for request in requests)
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(main())


def test_one_call_answers_all_and_is_counted_once() -> None:
    with FaultServer({"m": side_by_side}) as server:
        found = ask(server, "m", 3)
        assert [seen.body.get("n") for seen in server.requests] == [3]
    assert [completion.text for completion in found] == ["answer 0", "answer 1", "answer 2"]
    total = sum((completion.usage for completion in found), Usage())
    assert (total.calls, total.input_tokens, total.output_tokens) == (1, 100, 31)
    assert total.cost_usd == pytest.approx(131e-6)


def test_an_endpoint_that_ignores_it_is_asked_again() -> None:
    with FaultServer({"m": lambda body, n: answer([f"call {n}"])}) as server:
        found = ask(server, "m", 3)
        assert [seen.body.get("n") for seen in server.requests] == [3, None, None]
    assert sorted(completion.text for completion in found) == ["call 1", "call 2", "call 3"]
    assert sum(completion.usage.calls for completion in found) == 3


def test_who_waits_for_siblings_that_never_come_goes_on() -> None:
    with FaultServer({"m": side_by_side}) as server:
        assert [completion.text for completion in ask(server, "m", 2, expected=5)] == ["answer 0", "answer 1"]


def test_alone_nobody_waits_and_nothing_is_said_of_it() -> None:
    with FaultServer({"m": side_by_side}) as server:
        assert ask(server, "m", 1)[0].text == "answer 0"
        assert "n" not in server.requests[0].body


def test_what_fails_fails_for_all() -> None:
    with FaultServer({"m": Reply(status=400, error={"message": "no"})}) as server:
        found = ask(server, "m", 2)
        assert len(server.requests) == 1
    assert [type(error) for error in found] == [MemberError, MemberError]


def test_who_leaves_ends_nobody_elses_call_and_the_last_ends_it() -> None:
    async def main() -> None:
        with FaultServer({"slow": Reply(hang=True), "m": side_by_side}) as server:
            async with House() as house:
                SIBLINGS.set(2)
                models = [
                    await OpenAIMember("a", server.base_url, name, choices=True).open(house) for name in ("slow", "m")
                ]
                slow = [asyncio.ensure_future(models[0].generate(Request.of("?"), None)) for _ in range(2)]
                quick = [asyncio.ensure_future(models[1].generate(Request.of("?"), None)) for _ in range(2)]
                await asyncio.sleep(0)
                quick[0].cancel()
                assert (await quick[1]).text.startswith("answer")
                await asyncio.sleep(0.1)
                for task in slow:
                    task.cancel()
                await asyncio.wait(slow)
                (hung,) = (seen for seen in server.requests if seen.model == "slow")
                async with asyncio.timeout(5):
                    while not hung.disconnected:  # noqa: ASYNC110 - the server lives on another loop
                        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_the_gateway_asks_once_for_n() -> None:
    with FaultServer({"m": side_by_side}) as upstream:
        member = OpenAIMember("a", upstream.base_url, "m", choices=True, price=Price(1.0, 1.0))
        with (
            GatewayServer(Config({"a": member})) as server,
            openai.OpenAI(base_url=server.base_url, api_key="x") as ask_,
        ):
            made = ask_.chat.completions.create(model="a", n=3, messages=[{"role": "user", "content": "?"}])
        assert [seen.body.get("n") for seen in upstream.requests] == [3]
    assert [choice.message.content for choice in made.choices] == ["answer 0", "answer 1", "answer 2"]
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (100, 31)
