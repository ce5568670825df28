"""Random numbers that a replay repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from coterie import Committee, ScriptedMember, Trace, replay
from coterie.judges.random import Random
from coterie.methods.best_of import BestOf
from coterie.run import LiveRun
from coterie.types import Candidate, Limits, Request

REQUEST = Request.of("Who?")
CANDIDATES = [Candidate(f"c{n}", f"m{n}", "the same text") for n in range(200)]


def drawn(candidates: Sequence[Candidate], seed: int) -> dict[str, float]:
    async def work() -> dict[str, float]:
        (judgement,) = await Random().judge(REQUEST, candidates, LiveRun(REQUEST, {}, Limits(), seed=seed))
        return dict(zip(judgement.about, judgement.scores, strict=True))

    return asyncio.run(work())


def test_a_seed_draws_the_same_numbers_and_another_one_others() -> None:
    assert drawn(CANDIDATES, 1) == drawn(CANDIDATES, 1)
    assert not set(drawn(CANDIDATES, 1).values()) & set(drawn(CANDIDATES, 2).values())


def test_a_candidate_keeps_its_number_whoever_stands_beside_it() -> None:
    every = drawn(CANDIDATES, 3)
    assert drawn(CANDIDATES[7:2:-1], 3) == {f"c{n}": every[f"c{n}"] for n in range(7, 2, -1)}


def test_the_numbers_are_spread_evenly() -> None:
    numbers = list(drawn(CANDIDATES, 4).values())
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert abs(sum(numbers) / len(numbers) - 0.5) < 0.1


def test_a_choice_at_random_replays() -> None:
    members = [ScriptedMember(f"m{n}", (f"answer {n}",)) for n in range(5)]
    method = BestOf(tuple(member.name for member in members), judge=Random(), rule="mean")
    traces: list[Trace] = []
    with Committee(members, {"default": method}) as committee:
        texts = [committee.ask(REQUEST.messages[0].text, on_trace=traces.append).text for _ in range(8)]
    assert len(set(texts)) > 1
    assert [replay(trace).text for trace in traces] == texts
