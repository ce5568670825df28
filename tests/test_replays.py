"""Replay: the same answer again, and another rule, judge or fuser on the same candidates, without a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie import Committee, ConfigError, Limits, NoAnswer, PeerBlend, Reply, ScriptedMember, Trace, Vote, replay
from coterie.methods.best_of import BestOf
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.types import FailureKind

LIKELY = {"Paris": -0.1, "Lyon": -3.0, "Paris, in France": -0.5}


def recorded(method: object = None, limits: Limits | None = None) -> tuple[str, Trace]:
    members = [
        ScriptedMember("a", ("Paris", "It is Paris."), likelihoods=LIKELY),
        ScriptedMember("b", ("Lyon", "Perhaps Lyon."), likelihoods=LIKELY),
        ScriptedMember("c", ("Paris, in France", "France's is Paris."), likelihoods=LIKELY),
        ScriptedMember("broken", (Reply(fail=FailureKind.HTTP, error="HTTP 500"),)),
        ScriptedMember("hangs", (Reply(hang=True),), timeout_s=0.1),
    ]
    names = ("a", "b", "c", "broken", "hangs")
    chosen = method or PeerBlend(names, top_k=2, aggregator="b")
    traces: list[Trace] = []
    with Committee(members, {"default": chosen}, limits or Limits()) as committee:  # type: ignore[dict-item]
        answer = committee.ask("What is the capital of France?", on_trace=traces.append)
    return answer.text, traces[0]


@pytest.mark.parametrize(
    "method",
    [
        None,
        Vote(("a", "b", "c")),
        BestOf(("a", "b")),
        RankAndFuse(("a", "b", "c"), top_k=2),
        PeerBlend(("a",)),
        PeerBlend(("a", "b"), aggregator="broken"),
    ],
    ids=["peer_blend", "vote", "best_of", "rank_and_fuse", "one member", "failing aggregator"],
)
def test_a_trace_replays_to_the_same_answer(method: object, tmp_path: Path) -> None:
    text, trace = recorded(method)
    trace.save(tmp_path / "run.jsonl")
    again = replay(Trace.load(tmp_path / "run.jsonl"))
    assert again.text == text
    assert again.usage.calls == 0


def test_recorded_failures_fail_again_and_cost_no_time() -> None:
    _, trace = recorded()
    again = replay(trace)
    assert {f.member: f.kind for f in again.failures} == {"broken": FailureKind.HTTP, "hangs": FailureKind.TIMEOUT}
    assert again.timing.wall_s < 0.1


def test_another_rule_ranks_the_recorded_ballots_anew() -> None:
    _, trace = recorded()
    again = replay(trace, {"rule": "copeland"})
    assert again.ranking is not None
    assert again.ranking.rule == "copeland"
    assert again.usage.calls == 0


def test_another_judge_falls_back_openly_where_the_fuser_would_have_to_write_anew() -> None:
    _, trace = recorded()
    again = replay(trace, {"judge": "length"})
    assert again.text == "Paris, in France"
    assert again.how == "ranked"
    assert any("not in the trace" in note for note in again.notes)


def test_another_k_gives_the_winner_verbatim() -> None:
    _, trace = recorded()
    again = replay(trace, {"top_k": 1})
    assert (again.text, again.how) == ("Paris", "ranked")


def test_a_vote_can_be_judged_otherwise() -> None:
    _, trace = recorded(Vote(("a", "b", "c")))
    assert replay(trace, {"judge": "length"}).text == "Paris, in France"


def test_a_partial_answer_replays_as_partial() -> None:
    _, trace = recorded(limits=Limits(max_calls=4))
    again = replay(trace)
    assert again.partial is True


def test_what_does_not_fit_is_refused_by_name() -> None:
    _, trace = recorded()
    with pytest.raises(ConfigError, match="no ranking rule 'nonsense'"):
        replay(trace, {"rule": "nonsense"})
    with pytest.raises(ConfigError, match="judg"):
        replay(trace, {"judge": "nobody"})


def test_a_run_without_an_answer_replays_to_none() -> None:
    members = [ScriptedMember("a", ("",))]
    traces: list[Trace] = []
    with Committee(members, {"default": Vote(("a",))}) as committee, pytest.raises(NoAnswer):
        committee.ask("What?", on_trace=traces.append)
    with pytest.raises(NoAnswer):
        replay(traces[0])
