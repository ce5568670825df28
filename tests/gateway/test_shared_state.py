"""Two gateways behind a balancer, over one PostgreSQL: what one knows, the other knows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coterie.gateway.keys import hashed
from gateway_process import GatewayProcess, within

TEA, BOB = "ck-tea", "ck-bob"
BOUND = 12
CONFIG = f"""
members:
  a: {{engine: scripted, replies: [Paris]}}
  b: {{engine: scripted, replies: [Lyon]}}
methods:
  default: {{kind: route, members: [a, b], router: {{kind: pickllm, rule: q_learning}}, decision: best}}
store: {{url: "%s", keep_texts: true}}
gateway:
  keys:
    - {{id: tea, hash: "{hashed(TEA)}"}}
    - {{id: bob, hash: "{hashed(BOB)}", max_calls: {BOUND}}}
"""


class Balancer:
    """Asks the gateways in turn."""

    def __init__(self, gateways: list[GatewayProcess]) -> None:
        self.gateways = gateways
        self._turns = itertools.cycle(gateways)

    def send(self, method: str, path: str, key: str = TEA, **body: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.request(method, next(self._turns).url + path, headers=headers, json=body or None, timeout=10)

    def ask(self, key: str = TEA) -> httpx2.Response:
        said = [{"role": "user", "content": "Capital?"}]
        return self.send("POST", "/v1/chat/completions", key, model="coterie/default", messages=said)


@pytest.fixture(scope="module")
def balancer(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    folders: list[Path] = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with (
        GatewayProcess(folders[0], CONFIG % postgresql) as one,
        GatewayProcess(folders[1], CONFIG % postgresql) as other,
    ):
        yield Balancer([one, other])


def test_a_run_made_here_is_found_there(balancer: Balancer) -> None:
    id_ = balancer.ask().json()["id"]  # the next request goes to the other one

    def found() -> bool:
        here, there = balancer.send("GET", f"/v1/runs/{id_}"), balancer.send("GET", f"/v1/runs/{id_}")
        return here.status_code == there.status_code == 200

    assert within(5, found)
    assert {balancer.send("GET", f"/v1/runs/{id_}", BOB).status_code for _ in range(2)} == {404}


def test_what_is_said_there_is_learned_here(balancer: Balancer) -> None:
    answer = balancer.ask().json()
    assert balancer.send("POST", "/v1/feedback", id=answer["id"], rating=1.0).json()["learned"] is True
    best = answer["coterie"]["author"]
    balancer.ask()  # from here on the two that follow go to either
    assert {balancer.ask().json()["coterie"]["author"] for _ in range(2)} == {best}


def test_a_budget_is_one_for_both(balancer: Balancer) -> None:
    assert {balancer.ask(BOB).status_code for _ in range(BOUND)} == {200}  # half of it at each of them

    def refused() -> bool:
        time.sleep(0.2)
        return [balancer.ask(BOB).status_code for _ in range(2)] == [429, 429]

    assert within(6, refused)  # once each has heard of the other
    assert balancer.ask(BOB).json()["error"]["code"] == "insufficient_quota"
