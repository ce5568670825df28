"""Readiness over time: what is told of members is what a connection and their calls have shown of late."""

from __future__ import annotations

import asyncio
import time

import pytest

from coterie.committee import Committee
from coterie.config import BreakerSettings
from coterie.errors import NoAnswer
from coterie.gateway.health import Health
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.vote import Vote
from coterie.types import FailureKind
from gateway_process import free_port


async def until(health: Health, **members: str) -> None:
    """Returns when that is what is told of the members."""
    ends = time.monotonic() + 5
    while health.report.get("members") != members:
        assert time.monotonic() < ends, health.report
        await asyncio.sleep(0.005)


def test_an_endpoint_that_comes_and_goes_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        port = free_port()
        async with Committee([OpenAIMember("m", f"http://127.0.0.1:{port}/v1", "m")], {}) as committee:
            health = Health(committee, every_s=0.02)
            assert health.report == {"status": "starting"}
            watching = asyncio.ensure_future(health.watch())
            for _ in range(2):
                await until(health, m="unreachable")
                assert (health.ready, health.report["status"]) == (True, "degraded")
                endpoint = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
                await until(health, m="reachable")
                assert health.report["status"] == "ready"
                endpoint.close()
                await endpoint.wait_closed()
            watching.cancel()
            await asyncio.wait([watching])

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records]
    assert set(said) == {"not reachable: m"}
    assert 2 <= len(said) <= 3, "when it changed, and not with every look"


def test_a_member_that_its_breaker_leaves_alone_rests_and_then_does_not() -> None:
    async def main() -> None:
        ill = ScriptedMember("m", (Reply(fail=FailureKind.CONNECTION),), retries=0)
        settings = BreakerSettings(failures=1, rest_s=0.1)
        async with Committee([ill], {"default": Vote(("m",))}, breaker=settings) as committee:
            health = Health(committee)
            await health.look()
            assert health.report == {"status": "ready", "members": {"m": "reachable"}}
            with pytest.raises(NoAnswer):
                await committee.aask("?")
            assert health.report == {"status": "degraded", "members": {"m": "resting"}}
            await until(health, m="reachable")

    asyncio.run(main())
