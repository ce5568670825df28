"""The trace: out and in again, its longest chain, its bill, its files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import TraceError
from coterie.prospects import Choice, Prospect, Prospects, Scale
from coterie.trace import (
    FORMAT,
    KINDS,
    AnswerGiven,
    CallFailed,
    CallFinished,
    CallRetried,
    CallScored,
    CallStarted,
    CandidateOffered,
    ChoiceMade,
    CriticalPath,
    Event,
    JudgementMade,
    Noted,
    ProspectsGiven,
    RankingMade,
    RunFinished,
    RunStarted,
    Trace,
    TurnPlanned,
    WorkDone,
)
from coterie.turns import Plan
from coterie.types import (
    BallotMode,
    Candidate,
    Capability,
    Card,
    Completion,
    Failure,
    FailureKind,
    Judgement,
    Limits,
    Message,
    Price,
    Ranking,
    Request,
    Sampling,
    Scores,
    TextScore,
    TokenLogprob,
    Usage,
)

CARD = Card(
    "ann",
    "m",
    Price(1.0, 2.0, 0.5),
    4096,
    frozenset({Capability.REVIEW, Capability.LOGPROBS}),
    BallotMode.TEXT,
    30.0,
    2,
)


def begun(text: str = "What?", cards: tuple[Card, ...] = (CARD,)) -> RunStarted:
    spec = {"kind": "vote", "members": ["ann"], "nested": {"x": [1, None, 2.5, True]}}
    return RunStarted(0.0, "run-1", "default", spec, Request.of(text), cards, Limits(quorum=2), 7, "2025-01-01", "0.1")


def whole(text: str) -> Trace:
    """One event of every kind, with `text` wherever a text can stand."""
    usage = Usage(1, 2, None, 0.5, 1, 1)
    asked = Request(
        (Message("system", text, {"name": text}), Message("user", ({"type": "text", "text": text},))),
        Sampling(0.5, 0.9, 10, 1, (text,), 5, {text: [text, None, {"x": 1.5}]}),
        text,
        {"type": "object", "title": text},
    )
    logprobs = (TokenLogprob(text, -0.5, ((text, -0.5), ("x", -2.0))), TokenLogprob("y", 0.0))
    call = ({"id": "1", "function": {"name": text, "arguments": "{}"}},)
    return Trace(
        (
            begun(text),
            CallStarted(0.1, "k1", "ann", "generate"),
            CallStarted(0.1, "k2", "bob", "review", ("c1",), asked, (text, "other")),
            CallRetried(0.2, "k1", 1, text, 0.5),
            CallFinished(0.3, "k1", Completion("ann", text, "stop", usage, 0.2, 0.1, logprobs, call, "k1"), True),
            CallScored(0.4, "k2", Scores("bob", (TextScore(-1.5, 3), TextScore(-2.0, 1)), usage, 0.3, "k2")),
            CallStarted(0.4, "k3", "eve", "generate"),
            CallFailed(0.5, "k3", Failure("eve", text, FailureKind.HTTP, "generate", usage, 0.1, "k3")),
            CandidateOffered(0.5, Candidate("c1", "ann", text, ("c0",), "k1", call)),
            JudgementMade(0.6, "j1", Judgement("bob", ("c1", "c2"), (1.0, 2.5), text, calls=("k2",))),
            JudgementMade(0.6, "j2", Judgement.abstain("eve", text, ("k3",))),
            RankingMade(
                0.7, "r1", Ranking(("c1", "c2"), {"c1": 1.0, "c2": None}, "mean", (("c1", "c2"),), (text,)), ("j1",)
            ),
            TurnPlanned(0.8, Plan.ranked(("a", "b"), 1), 2, 3),
            ProspectsGiven(
                0.8, Prospects(text, Scale.ELO, (Prospect("a", 0.5, None, 3.0), Prospect("b", None))), ("w1",)
            ),
            ChoiceMade(0.8, Choice(("a", "b"), text, 0.25)),
            Noted(0.8, text),
            WorkDone(0.5, "w1", "pair_ranker", "rank", 0.1, ("c1",)),
            AnswerGiven(0.9, "c1", "fused", True, ("r1",)),
            RunFinished(1.0, "answered", usage, text),
        )
    )


# ---- out and in -------------------------------------------------------------------------------

ODD = [
    "",
    "plain",
    "line\nbreak\r\nand\rmore",
    "\u2028 and \u2029 and \u0085 and \x0b\x0c\x1c\x1d\x1e",
    "\x00\x01\x1f\x7f\ufeff\uffff",
    "日本語 🏳️‍🌈 ﷽ é",
    "half a character: \ud83d",
    '"}\n{"event": "noted"}',
    "</answer> <|im_end|> FINAL RANKING",
]


@pytest.mark.parametrize("text", ODD)
def test_every_event_comes_back_as_it_was(text: str, tmp_path: Path) -> None:
    trace = whole(text)
    lines = list(trace.lines())
    assert len(lines) == len(trace.events)
    assert Trace.parse(lines).events == trace.events
    trace.save(tmp_path / "run.jsonl")
    assert Trace.load(tmp_path / "run.jsonl").events == trace.events


@settings(max_examples=40)
@given(text=st.text(st.characters()))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    trace = whole(text)
    again = Trace.parse("\n".join(trace.lines()).split("\n"))
    assert again.events == trace.events


def test_every_kind_of_event_is_in_that_test() -> None:
    assert {type(event) for event in whole("x").events} == set(KINDS.values())


@pytest.mark.parametrize("text", ODD)
def test_a_line_is_one_json_object_with_its_kind_first(text: str) -> None:
    for line, event in zip(whole(text).lines(), whole(text).events, strict=True):
        assert "\n" not in line
        fields = json.loads(line)
        assert next(iter(fields)) == "event"
        assert KINDS[fields["event"]] is type(event)


def test_a_file_is_readable_by_people() -> None:
    assert any("日本語" in line for line in whole("日本語").lines())


def test_what_is_unknown_is_null() -> None:
    finished = list(whole("x").lines())[-1]
    assert json.loads(finished)["usage"]["output_tokens"] is None


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("\n\n".join(whole("x").lines()) + "\n \n", encoding="utf-8")
    assert Trace.load(path).events == whole("x").events


def test_a_large_text_goes_through(tmp_path: Path) -> None:
    text = "ä" * (4 << 20)
    trace = Trace((begun(), CallFinished(1.0, "k1", Completion("ann", text))))
    trace.save(tmp_path / "run.jsonl")
    assert Trace.load(tmp_path / "run.jsonl").events == trace.events


# ---- what cannot be read ----------------------------------------------------------------------

FIRST = next(iter(whole("x").lines()))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no json", "Expecting value"),
        ('{"event": "noted", "t_s": 1.0, "text": "cut of', "Unterminated string"),
        ("[]", "no event"),
        ("17", "no event"),
        ("null", "no event"),
        ("{}", "'event'"),
        ('{"event": "sneezed", "t_s": 1.0}', "'sneezed'"),
        ('{"event": ["noted"], "t_s": 1.0}', "unhashable"),
        ('{"event": "noted", "t_s": 1.0}', "text: Field required"),
        ('{"event": "noted", "t_s": "late", "text": "x"}', "t_s: Input should be a valid number"),
        ('{"event": "noted", "t_s": 1.0, "text": null}', "text: Input should be a valid string"),
        (
            '{"event": "judgement_made", "t_s": 1, "id": "", "judgement": {"judge": "", "about": ["a"], "scores": []}}',
            "0 scores",
        ),
        (
            '{"event": "call_failed", "t_s": 1, "call": "k", "failure": {"member": "a", "error": "", "kind": "ill"}}',
            "failure.kind",
        ),
        ("[" * 100_000, "RecursionError"),
        ('{"event": "noted", "t_s": ' + "9" * 5000 + ', "text": "x"}', "no event"),
    ],
)
def test_a_line_that_is_no_event_is_named(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(f"{FIRST}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(TraceError) as caught:
        Trace.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: no event of this program: ")
    assert why in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("lines", [[], [""], list(whole("x").lines())[1:]])
def test_a_trace_begins_with_the_run(lines: list[str]) -> None:
    with pytest.raises(TraceError, match="'some' does not begin with a 'run_started' event"):
        Trace.parse(lines, "some")


def test_another_format_is_refused() -> None:
    line = json.dumps(json.loads(FIRST) | {"format": FORMAT + 1})
    with pytest.raises(TraceError, match="has format 2; this version reads format 1"):
        Trace.parse([line])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read the trace '.*absent\.jsonl'"):
        Trace.load(tmp_path / "absent.jsonl")
    with pytest.raises(TraceError, match="cannot read the trace"):
        Trace.load(tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match=r"cannot read the trace .*utf-8"):
        Trace.load(tmp_path / "run.jsonl")


def test_a_trace_without_its_beginning_says_so() -> None:
    with pytest.raises(TraceError, match="no 'run_started' event"):
        _ = Trace(()).started


# ---- saving -----------------------------------------------------------------------------------


def test_saving_replaces_the_file_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole("old " * 1000).save(path)
    whole("new").save(path)
    assert path.read_text(encoding="utf-8").splitlines() == list(whole("new").lines())
    assert os.listdir(tmp_path) == ["run.jsonl"]


@dataclasses.dataclass(frozen=True)
class Unwritable:
    """Something that no trace can hold."""


def test_a_trace_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole("old").save(path)
    broken = dataclasses.replace(begun(), spec={"kind": object()})
    with pytest.raises(TypeError, match="cannot stand in a trace"):
        Trace((*whole("new").events, broken)).save(path)
    assert Trace.load(path).events == whole("old").events
    assert os.listdir(tmp_path) == ["run.jsonl"]


def test_a_place_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "run.jsonl"
    (folder / "kept").mkdir(parents=True)
    with pytest.raises(OSError, match=r"run\.jsonl"):
        whole("new").save(folder)
    assert os.listdir(tmp_path) == ["run.jsonl"]
    assert os.listdir(folder) == ["kept"]
    with pytest.raises(OSError, match="absent"):
        whole("new").save(tmp_path / "absent" / "run.jsonl")


def test_a_relative_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole("x").save("run.jsonl")
    assert Trace.load("run.jsonl").events == whole("x").events


# ---- calls ------------------------------------------------------------------------------------


def done(
    call: str, end_s: float, latency_s: float, member: str = "ann", usage: Usage = Usage(1, 1, 1, 0.0)
) -> CallFinished:
    return CallFinished(end_s, call, Completion(member, "x", usage=usage, latency_s=latency_s, call=call))


def test_a_call_is_put_together_from_its_events() -> None:
    trace = Trace(
        (
            begun(),
            CallStarted(0.5, "k1", "ann", "generate"),
            CallStarted(0.5, "k2", "bob", "review", ("c1",)),
            CallRetried(1.0, "k1", 1, "HTTP 429", 0.5),
            CallRetried(2.0, "k1", 2, "HTTP 429", 0.5),
            done("k1", 3.0, 2.5),
            RunFinished(4.0, "answered"),
        )
    )
    first, second = trace.calls.values()
    assert (first.id, first.member, first.stage, first.retries, first.cached) == ("k1", "ann", "generate", 2, False)
    assert (first.asked_s, first.start_s, first.end_s, first.duration_s) == (0.5, 0.5, 3.0, 2.5)
    assert (second.needs, second.outcome, second.end_s) == (("c1",), None, 4.0)


def test_waiting_for_a_slot_is_not_the_calls_own_time() -> None:
    trace = Trace((begun(), CallStarted(1.0, "k1", "ann", "generate"), done("k1", 6.0, 2.0)))
    call = trace.calls["k1"]
    assert (call.asked_s, call.start_s, call.end_s, call.duration_s) == (1.0, 4.0, 6.0, 2.0)


def test_a_call_never_starts_before_it_was_asked_for() -> None:
    trace = Trace((begun(), CallStarted(1.0, "k1", "ann", "generate"), done("k1", 2.0, 1.5)))
    assert trace.calls["k1"].start_s == 1.0


def test_a_cached_call_took_no_time() -> None:
    finished = CallFinished(1.0, "k1", Completion("ann", "x", usage=Usage(), call="k1"), cached=True)
    call = Trace((begun(), CallStarted(1.0, "k1", "ann", "generate"), finished)).calls["k1"]
    assert (call.cached, call.duration_s) == (True, 0.0)


# ---- the critical path ------------------------------------------------------------------------


def call(id_: str, start_s: float, end_s: float, *needs: str, latency_s: float | None = None) -> list[Event]:
    return [
        CallStarted(start_s, id_, "ann", "some", needs),
        done(id_, end_s, end_s - start_s if latency_s is None else latency_s),
    ]


def trace_of(*parts: Event | Sequence[Event]) -> Trace:
    events = [event for part in parts for event in (part if isinstance(part, Sequence) else [part])]
    return Trace((begun(), *sorted(events, key=lambda event: event.t_s)))


def test_a_run_without_calls_has_no_path() -> None:
    assert Trace((begun(),)).critical_path == CriticalPath((), 0.0)
    assert Trace(()).critical_path == CriticalPath((), 0.0)


def test_the_slowest_member_ballot_and_the_fusion_are_the_path() -> None:
    trace = trace_of(
        call("k1", 0.0, 1.0),
        call("k2", 0.0, 3.0),
        CandidateOffered(1.0, Candidate("c1", "a", "x", call="k1")),
        CandidateOffered(3.0, Candidate("c2", "b", "x", call="k2")),
        call("k3", 3.0, 4.0, "c2"),
        call("k4", 1.0, 3.5, "c1"),
        JudgementMade(4.0, "j1", Judgement("a", ("c2",), (1.0,), calls=("k3",))),
        JudgementMade(4.0, "j2", Judgement("b", ("c1",), (1.0,), calls=("k4",))),
        RankingMade(4.0, "r1", Ranking(("c1", "c2"), {}, "mean"), ("c1", "c2", "j1", "j2")),
        call("k5", 4.0, 6.0, "c1", "c2", "r1"),
        CandidateOffered(6.0, Candidate("c3", "a", "x", ("c1", "c2"), "k5")),
        AnswerGiven(6.0, "c3", "fused", needs=("r1",)),
    )
    assert trace.critical_path == CriticalPath(("k2", "k3", "k5"), 6.0)


def test_what_the_answer_did_not_need_is_not_on_the_path() -> None:
    trace = trace_of(
        call("k1", 0.0, 1.0),
        call("k2", 0.0, 9.0),
        CandidateOffered(1.0, Candidate("c1", "a", "x", call="k1")),
        CandidateOffered(9.0, Candidate("c2", "b", "x", call="k2")),
        AnswerGiven(9.0, "c1", "only"),
    )
    assert trace.critical_path == CriticalPath(("k1",), 1.0)


def test_a_ranked_answer_waits_for_its_ranking() -> None:
    trace = trace_of(
        call("k1", 0.0, 1.0),
        CandidateOffered(1.0, Candidate("c1", "a", "x", call="k1")),
        call("k2", 1.0, 3.0, "c1"),
        JudgementMade(3.0, "j1", Judgement("a", ("c1",), (1.0,), calls=("k2",))),
        RankingMade(3.0, "r1", Ranking(("c1",), {}, "mean"), ("c1", "j1")),
        AnswerGiven(3.0, "c1", "ranked", needs=("r1",)),
    )
    assert trace.critical_path == CriticalPath(("k1", "k2"), 3.0)


def test_a_ballot_that_failed_was_waited_for_too() -> None:
    failed = Failure("b", "HTTP 500", FailureKind.HTTP, latency_s=4.0, call="k2")
    trace = trace_of(
        call("k1", 0.0, 1.0),
        CandidateOffered(1.0, Candidate("c1", "a", "x", call="k1")),
        CallStarted(1.0, "k2", "b", "review", ("c1",)),
        CallFailed(5.0, "k2", failed),
        JudgementMade(5.0, "j1", Judgement.abstain("b", "failed", ("k2",))),
        RankingMade(5.0, "r1", Ranking(("c1",), {}, "mean"), ("c1", "j1")),
        AnswerGiven(5.0, "c1", "ranked", needs=("r1",)),
    )
    assert trace.critical_path == CriticalPath(("k1", "k2"), 5.0)


def test_retries_are_a_part_of_their_call_and_queueing_is_not() -> None:
    trace = trace_of(
        call("k1", 0.0, 2.0),
        CallRetried(0.5, "k1", 1, "HTTP 429", 1.0),
        call("k2", 2.0, 9.0, "k1", latency_s=1.5),
        RunFinished(9.0, "no_answer"),
    )
    assert trace.critical_path == CriticalPath(("k1", "k2"), 3.5)


def test_without_an_answer_the_path_is_the_longest_chain_of_all() -> None:
    trace = trace_of(call("k1", 0.0, 5.0), call("k2", 0.0, 1.0), call("k3", 1.0, 6.0, "k2"))
    assert trace.critical_path == CriticalPath(("k2", "k3"), 6.0)


def test_of_a_diamond_the_longer_side_counts_once() -> None:
    trace = trace_of(
        call("top", 0.0, 1.0),
        call("left", 1.0, 2.0, "top"),
        call("right", 1.0, 4.0, "top"),
        call("bottom", 4.0, 5.0, "left", "right", "top"),
    )
    assert trace.critical_path == CriticalPath(("top", "right", "bottom"), 5.0)


def test_a_call_that_never_ended_lasts_until_the_end() -> None:
    trace = trace_of(CallStarted(1.0, "k1", "ann", "generate"), RunFinished(4.0, "cancelled"))
    assert trace.critical_path == CriticalPath(("k1",), 3.0)


def test_a_very_long_chain_is_followed_to_its_end() -> None:
    number = 20_000
    parts = [call(f"k{n}", float(n), n + 1.0, *([f"k{n - 1}"] if n else [])) for n in range(number)]
    path = trace_of(*parts).critical_path
    assert path.seconds == number
    assert path.calls == tuple(f"k{n}" for n in range(number))


def test_wide_layers_are_followed_without_trying_every_chain() -> None:
    layers = [[f"{layer}.{n}" for n in range(20)] for layer in range(30)]
    parts = [
        call(id_, float(depth), depth + (1.0 if id_.endswith(".7") else 0.5), *(layers[depth - 1] if depth else ()))
        for depth, layer in enumerate(layers)
        for id_ in layer
    ]
    path = trace_of(*parts).critical_path
    assert (path.seconds, path.calls) == (30.0, tuple(f"{layer}.7" for layer in range(30)))


def test_a_damaged_file_with_a_circle_still_has_a_path() -> None:
    trace = trace_of(call("k1", 0.0, 1.0, "k2"), call("k2", 1.0, 3.0, "k1"), AnswerGiven(3.0, "k2", "only"))
    assert trace.critical_path == CriticalPath(("k1", "k2"), 3.0)
    assert trace_of(call("k1", 0.0, 1.0, "k1")).critical_path == CriticalPath(("k1",), 1.0)


def test_what_is_not_in_the_trace_takes_no_time() -> None:
    assert trace_of(AnswerGiven(1.0, "nowhere", "only", needs=("nothing",))).critical_path == CriticalPath((), 0.0)


# ---- the bill ---------------------------------------------------------------------------------


def test_the_bill_is_by_member_failures_included() -> None:
    failed = Failure("bob", "cut", FailureKind.CUT, usage=Usage(2, 5, 6, 0.25))
    trace = Trace(
        (
            begun(),
            *(CallStarted(0.0, f"k{n}", member, "some") for n, member in enumerate(["ann", "bob", "ann"])),
            done("k0", 1.0, 1.0, "ann", Usage(1, 10, 20, 0.5)),
            CallFailed(1.0, "k1", failed),
            CallScored(2.0, "k2", Scores("ann", (), Usage(1, 30, 0, 0.125))),
        )
    )
    bill = trace.bill
    assert bill.members == {"ann": Usage(2, 40, 20, 0.625), "bob": Usage(2, 5, 6, 0.25)}
    assert (bill.total, bill.known_usd, bill.unpriced) == (Usage(4, 45, 26, 0.875), 0.875, ())


def test_an_unknown_cost_makes_the_total_unknown_and_leaves_the_known_part() -> None:
    trace = Trace(
        (
            begun(),
            *(CallStarted(0.0, f"k{n}", member, "some") for n, member in enumerate(["ann", "bob", "bob"])),
            done("k0", 1.0, 1.0, "ann", Usage(1, 10, 20, 0.5)),
            done("k1", 1.0, 1.0, "bob", Usage(1, 1, None, None)),
            done("k2", 1.0, 1.0, "bob", Usage(1, 1, 1, 0.25)),
        )
    )
    bill = trace.bill
    assert bill.members["bob"] == Usage(2, 2, None, None)
    assert (bill.total, bill.known_usd, bill.unpriced) == (Usage(3, 12, None, None), 0.75, ("bob",))


def test_a_call_that_never_ended_cost_nobody_knows_what() -> None:
    bill = Trace((begun(), CallStarted(0.0, "k1", "ann", "some"))).bill
    assert (bill.total, bill.known_usd, bill.unpriced) == (Usage(1, None, None, None), 0.0, ("ann",))


def test_a_run_without_calls_cost_nothing() -> None:
    bill = Trace((begun(),)).bill
    assert (bill.members, bill.total, bill.known_usd, bill.unpriced) == ({}, Usage(), 0.0, ())


def test_the_end_and_the_wall_time_are_the_last_events() -> None:
    trace = whole("x")
    assert trace.finished == trace.events[-1]
    assert trace.wall_s == 1.0
    assert Trace(()).wall_s == 0.0
    assert [type(event) for event in trace.of(JudgementMade)] == [JudgementMade] * 2
