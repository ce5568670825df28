"""The evaluation over scripted members: who is asked, what a row says, and what an interruption costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_pool import GOLD, Script, config, dialogues, pool

from coterie.config import Config
from coterie.dialogues import Interview
from coterie.errors import ConfigError
from coterie.evaluation.blending.header import Header
from coterie.evaluation.blending.recording import Recorded, Recorder, read
from coterie.evaluation.blending.rows import Row
from coterie.evaluation.convqa.lineup import FULL, REDUCED, UNRANKED, Lineup
from coterie.evaluation.convqa.quality import opened
from coterie.evaluation.convqa.recordings import Recordings
from coterie.evaluation.convqa.running import Evaluation
from coterie.evaluation.metrics import build
from coterie.members.scripted import Reply
from coterie.types import FailureKind, Request


def evaluate(
    folder: Path,
    scripts: list[Script],
    *,
    made: Config | None = None,
    evaluation: Evaluation | None = None,
    ask: bool = True,
    on_done: Callable[[], None] = lambda: None,
) -> Recorded:
    """Everything asked and scored; the rows."""
    made = made or config(scripts)
    evaluation = evaluation or Evaluation(dialogues(), tuple(Lineup.of(made).entries()), seed=1)

    async def run() -> None:
        with (
            Recordings(folder / "recordings.jsonl", made.members.values()) as responses,
            opened([build("f1"), build("exact_match")], []) as quality,
            Recorder(folder / "rows.jsonl", Header("demo")) as recorder,
        ):
            async with evaluation.committee(made, responses, 1, ask=ask) as committee:
                await evaluation.run(committee, recorder, quality, on_done)

    asyncio.run(run())
    return read(folder / "rows.jsonl")


def rows_of(recorded: Recorded, method: str, policy: str = "") -> list[Row]:
    """Of the whole pool, or of a member alone."""
    return [row for row in recorded.rows if row.method == method and policy in ("", row.policy) and row.n != 2]


def test_everybody_takes_part_on_every_turn(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, pool())
    peers = [("Peer-Blending", "blend", 2, policy) for policy in (FULL, *REDUCED, *UNRANKED)]
    expected = [
        ("ann", "single", None, ""), ("bob", "single", None, ""), ("cat", "single", None, ""),
        ("random pick", "baseline", None, ""), ("longest answer", "baseline", None, ""),
        ("LLM-Blender", "blend", 3, FULL), ("LLM-Blender", "selection", 1, FULL), *peers,
        ("oracle", "oracle", None, ""),
    ]  # fmt: skip
    small = Counter((row.method, row.top_k) for row in recorded.rows if row.n == 2)
    assert small == {("LLM-Blender", 3): 12, ("Peer-Blending", 2): 12}
    found = Counter((row.method, row.kind, row.top_k, row.policy) for row in recorded.rows if row.n != 2)
    assert found == dict.fromkeys(expected, 12)
    assert len(recorded.questions) == 12
    assert recorded.questions["demo", "d0", 1].gold == ("Ann Lee",)


def test_the_qualities_are_those_of_the_answers(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, pool())
    by_turn = {row.turn: row.quality for row in rows_of(recorded, "ann") if row.conversation == "d1"}
    assert [by_turn[turn]["exact_match"] for turn in (1, 2, 3, 4)] == [1, 1, 0, 0]
    oracle = {row.turn: row for row in rows_of(recorded, "oracle") if row.conversation == "d1"}
    assert [oracle[turn].quality["exact_match"] for turn in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert (oracle[3].author, oracle[3].text) == ("bob", GOLD["Where?"])
    full = {row.turn: row for row in rows_of(recorded, "Peer-Blending", FULL) if row.conversation == "d0"}
    assert [full[turn].quality["exact_match"] for turn in (1, 2, 3)] == [1, 1, 1]  # its reviewers know what is right


def test_calls_are_counted_and_agree_with_the_formula(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, pool())
    for row in rows_of(recorded, "Peer-Blending", FULL):
        assert (row.asked, row.generations, row.reviews_each, row.reviews, row.fusions) == (3, 3, 1, 3, 1)
    for row in rows_of(recorded, "Peer-Blending", "alternate_ranking"):
        ranked = row.turn % 2 == 1
        assert (row.ranked, row.generations, row.reviews) == ((True, 3, 3) if ranked else (False, 2, 0))
    for row in rows_of(recorded, "Peer-Blending", "fixed_interval"):
        assert row.generations == (3 if row.conversation == "d0" else 2)
    for row in rows_of(recorded, "Peer-Blending", "dynamic_elimination"):
        assert row.generations == (3 if row.turn <= 2 else 2)
    for row in rows_of(recorded, "random pick"):
        assert (row.generations, row.reviews, row.ranked) == (1, 0, False)


def test_nobody_is_asked_the_same_twice_in_a_run_or_in_the_next(tmp_path: Path) -> None:
    first = pool()
    recorded = evaluate(tmp_path, first)
    assert [script.asked.count("generate") for script in first] == [12, 12, 12]
    again = pool()
    assert evaluate(tmp_path, again).rows == recorded.rows
    assert [script.asked for script in again] == [[], [], []]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "alone").mkdir()
    whole = evaluate(tmp_path / "whole", pool())
    left = 60

    def until_interrupted() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    first, second = pool(), pool()
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, first, on_done=until_interrupted)
    with (tmp_path / "recordings.jsonl").open("ab") as file:
        file.write(b'{"member": "half a li')
    recorded = evaluate(tmp_path, second)
    assert [timeless(row) for row in recorded.rows] == [timeless(row) for row in whole.rows]
    asked = [len(a.asked) + len(b.asked) for a, b in zip(first, second, strict=True)]
    alone = pool()
    evaluate(tmp_path / "alone", alone)
    assert asked == [len(script.asked) for script in alone]


def timeless(row: Row) -> Row:
    return replace(row, wall_s=None, time_s=None, generate_s=None, rank_s=None, fuse_s=None)


def test_times_are_those_of_the_calls_side_by_side(tmp_path: Path) -> None:
    scripts = pool()
    waits = {"ann": 0.01, "bob": 0.03, "cat": 0.02}

    def slow(script: Script) -> Script:
        say = script._say
        script._say = lambda request, number: replace(say(request, number), latency_s=waits[script.name])  # type: ignore[method-assign]
        return script

    recorded = evaluate(tmp_path, [slow(script) for script in scripts])
    for row in rows_of(recorded, "Peer-Blending", FULL):
        assert row.time_s is not None
        assert row.generate_s is not None
        assert row.rank_s is not None
        assert row.fuse_s is not None
        assert row.time_s == pytest.approx(row.generate_s + row.rank_s + row.fuse_s)
        assert 0.05 <= row.generate_s + row.rank_s < 0.08  # cat's answer, and bob's review of it
    for row in rows_of(recorded, "cat"):
        assert row.time_s == row.generate_s
        assert row.time_s is not None
        assert 0.02 <= row.time_s < 0.04


def test_a_member_that_fails_is_missing_and_no_other(tmp_path: Path) -> None:
    scripts = [*pool(), Script("dan", {})]
    scripts[3]._say = lambda request, number: Reply("", error="HTTP 500", fail=FailureKind.HTTP)  # type: ignore[method-assign]
    recorded = evaluate(tmp_path, scripts)
    dan = rows_of(recorded, "dan")
    assert len(dan) == 12
    assert all("HTTP 500" in row.failed and not row.quality for row in dan)
    assert not any(row.failed for row in recorded.rows if row.method != "dan" and row.kind != "baseline")


def test_own_history_goes_on_from_what_was_answered(tmp_path: Path) -> None:
    scripts = pool()
    seen: list[Request] = []
    say = scripts[2]._say

    def watching(request: Request, number: int) -> Reply:
        seen.append(request)
        return say(request, number)

    scripts[2]._say = watching  # type: ignore[method-assign]
    made = config(scripts)
    entries = tuple(entry for entry in Lineup.of(made).entries() if entry.variant.method == "cat")
    evaluate(
        tmp_path,
        scripts,
        made=made,
        evaluation=Evaluation(dialogues(1, 2), entries, Interview(history="own"), seed=1),
    )
    assert [message.text for message in seen[1].messages[1:]] == ["cat does not know", "And when?"]


def test_without_asking_only_what_was_recorded_is_answered(tmp_path: Path) -> None:
    made = config(pool())
    entries = Lineup.of(made).entries()
    evaluate(tmp_path, pool(), evaluation=Evaluation(dialogues(1), tuple(entries[:3]), seed=1))
    (tmp_path / "rows.jsonl").unlink()
    recorded = evaluate(tmp_path, pool(), evaluation=Evaluation(dialogues(1), tuple(entries), seed=1), ask=False)
    assert not any(row.failed for row in recorded.rows if row.kind == "single")
    missing = rows_of(recorded, "Peer-Blending", FULL)
    assert missing
    assert all(row.failed.startswith("not recorded of ") for row in missing)


def test_smaller_pools_are_the_first_so_many_members() -> None:
    scripts = [Script(f"m{n}", {}) for n in range(12)]
    lineup = Lineup.of(config(scripts))
    assert lineup.smaller == (2, 4, 7, 9)
    assert replace(lineup, sizes=(3, 12, 3)).smaller == (3,)
    assert replace(lineup, sizes=()).smaller == ()
    few = [entry for entry in replace(lineup, sizes=(3,)).entries() if entry.variant.n == 3]
    assert {vars(entry.method)["members"] for entry in few} == {("m0", "m1", "m2")}
    for size in (1, 13):
        with pytest.raises(ConfigError, match=f"a pool of \\[{size}\\] cannot be blended"):
            replace(lineup, sizes=(size,)).entries()


def test_a_configuration_without_a_blend_is_refused() -> None:
    made = config(pool())
    with pytest.raises(ConfigError, match="neither a rank_and_fuse nor a peer_blend"):
        Lineup.of(replace(made, methods={}))
    with pytest.raises(ConfigError, match="'nobody'"):
        Lineup.of(made, ("nobody",))
