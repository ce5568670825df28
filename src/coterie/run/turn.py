"""The turn of a conversation that a run answers: planned, then kept for the next one or given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from coterie.errors import StoreError
from coterie.protocols import Policy
from coterie.run.gathering import LETTING_GO_S
from coterie.run.ledger import Ledger
from coterie.run.thread import Alone, Planned, Thread, ranking_of_members
from coterie.trace import TurnPlanned
from coterie.turns import Plan
from coterie.types import Candidate, Json, Message, Result

log = logging.getLogger("coterie")

FINDING_SHARE = 0.1
"""How much of the time that is left finding the conversation may take: forgetting it costs less than the answer."""

KEEPING_S = 10.0
"""How long an answer that was given may wait until its turn is kept."""


class OpenTurn:
    """A turn that is being answered, in a thread of its conversation."""

    def __init__(self, thread: Thread, run: str, ledger: Ledger) -> None:
        self._thread = thread
        self._run = run
        self._ledger = ledger
        self._planned: Planned | None = None
        """What must still be kept or given up."""

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int, rng: Callable[[], random.Random]) -> Plan:
        """What the policy plans, recorded; for a first turn where the earlier ones cannot be found in time."""
        self._planned = planned = await self._found(policy, members, top_k, rng)
        at = planned.conversation
        self._ledger.write(TurnPlanned(self._ledger.now(), planned.plan, at.number, at.turn, at.survivors))
        return planned.plan

    async def _found(
        self, policy: Policy, members: Sequence[str], top_k: int, rng: Callable[[], random.Random]
    ) -> Planned:
        try:
            async with asyncio.timeout(max(0.0, FINDING_SHARE * self._ledger.left_s)):
                return await self._thread.plan(policy, members, top_k, rng())
        except (StoreError, TimeoutError) as error:
            why = str(error) or "the store did not answer in time"
            self._ledger.note(f"the conversation's earlier turns are not known ({why}), so this is taken for its first")
        self._thread = Alone()  # what was not found must not be written over
        return await self._thread.plan(policy, members, top_k, rng())

    async def keep(self, result: Result) -> None:
        """Afterwards the next turn knows of this one, as far as a note does not say otherwise.

        The answer was given, so its turn is kept even where nobody waits for the rest any more.
        """
        planned, self._planned = self._planned, None
        if planned is None or isinstance(self._thread, Alone):
            return
        keeping = asyncio.ensure_future(self._kept(planned, result))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait([keeping], timeout=LETTING_GO_S)
            raise

    async def _kept(self, planned: Planned, result: Result) -> None:
        ranking = ranking_of_members(result.ranking, self._ledger.candidates, planned.plan)
        answer = Message("assistant", result.candidate.text, _tool_calls(result.candidate))
        try:
            async with asyncio.timeout(KEEPING_S):
                await self._thread.remember(planned, self._run, answer, ranking)
            return
        except (StoreError, TimeoutError) as error:
            why = str(error) or f"the store did not answer in {KEEPING_S:g} s"
        except Exception as error:  # what goes wrong here must not cost the answer
            log.exception("the turn that %s answered could not be kept", self._run)
            why = f"{type(error).__name__}: {error}"
        self._ledger.note(f"this turn could not be kept, so the next one will not know of it: {why}")

    async def give_up(self) -> None:
        """Where it was not kept: a conversation that was to begin with this turn has not begun."""
        planned, self._planned = self._planned, None
        if planned is None:
            return
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LETTING_GO_S):
                await self._thread.give_up(planned)


def _tool_calls(candidate: Candidate) -> Mapping[str, Json]:
    return {"tool_calls": list(candidate.tool_calls)} if candidate.tool_calls else {}
