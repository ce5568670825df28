"""One question to a committee over the mock pool: how long it took, how long it must, and what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coterie import Committee
from coterie.answer import Answer
from coterie.members.openai import OpenAIMember
from coterie.protocols import Method
from coterie.trace import TurnPlanned
from coterie.types import Limits, Message, Price, Usage
from floors import floor_s, waited_s
from mock_pool import question, served
from mock_server import Served
from sides import Made, Side, Turn

TOKEN_USD = 0.2
"""A million tokens of a member, read or written: an assumption, and nobody's offer."""
CARD_HOUR_USD = 3.0
"""An hour of the card that a ranker and a fuser run on: an assumption too."""


@dataclass(frozen=True)
class Asked:
    """A question that was answered."""

    wall_s: float
    busy_s: float
    """CPU time of this process."""
    answer: Answer
    calls: Sequence[Served]
    """What the mock served for it."""


@dataclass
class Sample:
    """Turns of one side, all alike or of one policy. Times are as they were measured, `scale` times the real ones."""

    side: Side
    members: int
    scale: float = 1.0
    walls_s: list[float] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    """CPU time of this process."""
    floors_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    """What the mock itself, being late, added to the floor."""
    rounds_s: list[float] = field(default_factory=list)
    """From the slowest answer to the end of the turn."""
    turns: list[Turn] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    cards_s: list[float] = field(default_factory=list)
    """Seconds that cards were busy, the members' and the committee's own, unscaled."""

    def add(self, asked: Asked) -> None:
        """Take in one turn.

        Raises `RuntimeError` where trace or mock saw other calls than the side makes, or a ballot said nothing.
        """
        answer, calls = asked.answer, asked.calls
        turn = _turn(answer)
        made = _checked(self.side, turn, answer, calls)
        own_s = self.scale * self.side.own_s(turn)
        least_s = floor_s(calls, self.side.at_once, own_s)
        written_s = max(call.delay_s for call in calls if call.stage == "generate")
        self.walls_s.append(asked.wall_s)
        self.busy_s.append(asked.busy_s)
        self.floors_s.append(least_s)
        self.late_s.append(floor_s(calls, self.side.at_once, own_s, waited_s) - least_s)
        self.rounds_s.append(asked.wall_s - written_s)
        self.turns.append(turn)
        self.made.append(made)
        self.usages.append(answer.usage)
        self.cards_s.append(sum(call.delay_s for call in calls) / self.scale + self.side.own_s(turn))

    @property
    def ratios(self) -> list[float]:
        return [wall / floor for wall, floor in zip(self.walls_s, self.floors_s, strict=True)]

    @property
    def above_s(self) -> list[float]:
        return [wall - floor for wall, floor in zip(self.walls_s, self.floors_s, strict=True)]

    @property
    def unscaled_s(self) -> list[float]:
        """Walls as they would be at scale 1: what comes on top of the floor does not grow with it."""
        return [floor / self.scale + above for floor, above in zip(self.floors_s, self.above_s, strict=True)]

    @property
    def usd(self) -> list[float | None]:
        """Of each turn: the members' tokens as the trace bills them, and the committee's own card."""
        return [
            None if usage.cost_usd is None else usage.cost_usd + self.side.own_s(turn) * CARD_HOUR_USD / 3600
            for usage, turn in zip(self.usages, self.turns, strict=True)
        ]


def committee(base_url: str, members: Sequence[str], at_once: int | None, methods: dict[str, Method]) -> Committee:
    """Members behind the mock pool, each of which takes so many calls at a time."""
    price = Price(TOKEN_USD, TOKEN_USD)
    specs = [OpenAIMember(m, base_url, m, price=price, max_concurrency=at_once, ballot=None) for m in members]
    return Committee(specs, methods, Limits(deadline_s=120))


async def ask(
    asked: Committee, base_url: str, method: str, tag: str, said: Sequence[Message] = (), **how: Any
) -> Asked:
    """One question, after what was `said`."""
    messages = [*said, Message("user", question(tag))]
    began, busy = time.perf_counter(), time.process_time()
    answer = await asked.aask(messages, method, **how)
    wall_s, busy_s = time.perf_counter() - began, time.process_time() - busy
    return Asked(wall_s, busy_s, answer, served(base_url)[tag])


def _turn(answer: Answer) -> Turn:
    planned = next(answer.trace.of(TurnPlanned)).plan
    return Turn(planned.members, planned.ranks)


def _checked(side: Side, turn: Turn, answer: Answer, calls: Sequence[Served]) -> Made:
    """The calls of this turn, which are those that its side makes, in the trace as at the mock."""
    wanted = side.makes(turn)
    seen = Counter(call.stage for call in calls)
    traced = Counter(call.stage for call in answer.trace.calls.values())
    at_mock = Made(seen["generate"], seen["review"] + seen["prefill"], seen["fuse"])
    in_trace = Made(traced["generate"], traced["review"], traced["fuse"])
    if not wanted == at_mock == in_trace or answer.usage.calls != wanted.total or answer.failures:
        raise RuntimeError(
            f"{side.name!r} makes {wanted} on {turn}; the mock saw {at_mock}, the trace {in_trace}, its bill "
            f"{answer.usage.calls} calls, and {answer.failures!r} failed"
        )
    if silent := [judgement for judgement in answer.judgements if not judgement.about]:
        raise RuntimeError(f"{side.name!r}: {silent[0].judge} abstained: {silent[0].abstained}")
    wrote = {call.model for call in calls if call.stage == "generate"}
    if wrote != set(turn.writers):
        raise RuntimeError(f"{turn} was planned, and {sorted(wrote)} wrote")
    return wanted
