"""A sweep over recorded completions: every combination, and nobody is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scripted_pool import config, dialogues, pool

from coterie import ConfigError, PeerReview
from coterie.evaluation.blending.header import Header
from coterie.evaluation.blending.recording import Recorded, Recorder, read
from coterie.evaluation.convqa.lineup import Lineup
from coterie.evaluation.convqa.quality import opened
from coterie.evaluation.convqa.recordings import Recordings
from coterie.evaluation.convqa.running import Evaluation
from coterie.evaluation.convqa.sweep import Sweep
from coterie.evaluation.metrics import build
from coterie.judges.length import Length
from coterie.judges.random import Random
from coterie.protocols import Judge
from coterie.types import BallotMode

NAMES = ("ann", "bob", "cat")


def swept(folder: Path, sweep: Sweep, *, ask: bool) -> tuple[Recorded, list[list[str]]]:
    """The rows of a sweep, and what members were asked for it."""
    scripts = pool()
    made = config(scripts)
    evaluation = Evaluation(dialogues(2), tuple(sweep.entries(Lineup.of(made))), seed=1)
    rows = folder / f"rows-{ask}.jsonl"

    async def run() -> None:
        with (
            Recordings(folder / "recordings.jsonl", made.members.values()) as responses,
            opened([build("exact_match")], []) as quality,
            Recorder(rows, Header("demo")) as recorder,
        ):
            async with evaluation.committee(made, responses, None, ask=ask) as committee:
                await evaluation.run(committee, recorder, quality)

    asyncio.run(run())
    return read(rows), [script.asked for script in scripts]


def test_pointwise_ballots_of_the_whole_pool_serve_every_smaller_one(tmp_path: Path) -> None:
    judges: dict[str, Judge] = {
        "peers": PeerReview(ballot=BallotMode.POINTWISE),
        "length": Length(),
        "random": Random(),
    }
    swept(tmp_path, Sweep(NAMES, judges=judges), ask=True)
    recorded, asked = swept(tmp_path, Sweep(NAMES, sizes=(2, 3), judges=judges), ask=False)
    assert asked == [[], [], []]
    blends = [row for row in recorded.rows if row.method == "blend"]
    assert {row.n for row in blends} == {2, 3}
    assert not any(row.failed for row in blends)
    assert {row.reviews for row in blends if row.judge == "peers" and row.n == 3} == {6}
    assert {row.reviews for row in blends if row.judge == "peers" and row.n == 2} == {2}
    pairs = {row.seed for row in blends if row.n == 2 and row.judge == "length"}
    assert len(pairs) == 3  # the three pools of two


def test_what_was_not_recorded_is_missing_and_not_a_fallback(tmp_path: Path) -> None:
    swept(tmp_path, Sweep(NAMES, judges={"length": Length()}), ask=True)
    recorded, _ = swept(tmp_path, Sweep(NAMES, top_ks=(1, 2), judges={"length": Length()}), ask=False)
    fused = [row for row in recorded.rows if row.top_k == 2]
    assert fused
    assert all(row.failed.startswith("not recorded of") and not row.quality for row in fused)
    assert not any(row.failed for row in recorded.rows if row.top_k == 1)


def test_every_combination_that_makes_sense_is_there_once() -> None:
    sweep = Sweep(
        NAMES,
        sizes=(1, 2, 3),
        top_ks=(1, 3),
        judges={"length": Length(), "random": Random()},
        rules=("mean", "max_logits"),
        policies=("full_ranking", "alternate_ranking"),
    )
    keys = [entry.key for entry in sweep.entries(Lineup.of(config(pool()))) if entry.variant.method == "blend"]
    assert len(set(keys)) == len(keys)
    pools = 3 + 3 + 1
    assert len(keys) == (pools + 1) * 2 * 2 * 2


def test_many_pools_are_drawn_by_the_seed_and_keep_the_members_order() -> None:
    names = tuple(f"m{n}" for n in range(12))
    one, same, other = (Sweep(names, subsets=5, seed=seed).pools(6) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 5
    assert all(list(chosen) == sorted(chosen, key=names.index) for chosen in one)


def test_a_pool_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ConfigError, match="a pool of 4 cannot be made"):
        Sweep(NAMES).pools(4)
