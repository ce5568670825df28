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
from http_faults import FaultServer


async def until(health: Health, **members: str) -> None:
    """Returns when that is what is told of the members."""
    ends = time.monotonic() + 5
    while health.report.get("members") != members:
        assert time.monotonic() < ends, health.report
        await asyncio.sleep(0.005)


def test_an_endpoint_that_comes_and_goes_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = FaultServer({})
        with server:
            port = server.port
            member = OpenAIMember("m", server.base_url, "m")
            async with Committee([member], {}) as committee:
                health = Health(committee, every_s=0.02)
                assert health.report == {"status": "starting"}
                watching = asyncio.ensure_future(health.watch())
                await until(health, m="reachable")
                assert health.report["status"] == "ready"
                await asyncio.to_thread(server.__exit__, None, None, None)
                await until(health, m="unreachable")
                assert health.report["status"] == "degraded"
                assert health.ready, "what is known not to be there holds nobody up"
                back = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
                await until(health, m="reachable")
                back.close()
                watching.cancel()
                await asyncio.wait([watching])

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["not reachable: m"], "said once, not with every look"


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
