"""Recordings: what was said is found again in another process, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coterie import ConfigError, Request, Sampling, ScriptedMember
from coterie.evaluation.convqa.recordings import Recordings, digest
from coterie.members.openai import OpenAIMember
from coterie.types import Completion, Price, Scores, Secret, TextScore, TokenLogprob, Usage

ANN = ScriptedMember("ann", ("x",))
ASKED = Request.of("Where?")
SAID = Completion(
    "ann",
    'Oslo, "\U0001f3f3\ufe0f" and half a character: \ud83d',
    usage=Usage(2, 12, 3, 0.001, 4, 1),
    latency_s=1.5,
    first_piece_s=0.2,
    logprobs=(TokenLogprob("Oslo", -0.5, (("Bergen", -1.0),)),),
    tool_calls=({"id": "t1", "function": {"name": "look", "arguments": "{}"}},),
    call="k7",
)


def scores(*logprobs: float, read: int | None = 100) -> Scores:
    return Scores("ann", tuple(TextScore(p, 10) for p in logprobs), Usage(1, read, 0, 0.0), latency_s=2.0)


def test_what_was_said_comes_back_in_another_process_as_it_was(tmp_path: Path) -> None:
    with Recordings(tmp_path / "r.jsonl", [ANN]) as first:
        first.put("ann", ASKED, SAID)
        first.put_scores("ann", ASKED, ("a", "b"), scores(-1.0, -2.0))
    with Recordings(tmp_path / "r.jsonl", [ANN]) as again:
        assert len(again) == 2
        assert again.get("ann", ASKED) == replace(SAID, call="")
        assert again.get_scores("ann", ASKED, ("a", "b")) == scores(-1.0, -2.0)
        assert again.recalled == 2


@pytest.mark.parametrize(
    "other",
    [Request.of("Where? "), Request.of("Where?", Sampling(temperature=0.5)), Request.of("Where?", Sampling(seed=1))],
)
def test_another_request_is_not_answered(tmp_path: Path, other: Request) -> None:
    with Recordings(tmp_path / "r.jsonl", [ANN]) as recordings:
        recordings.put("ann", ASKED, SAID)
        assert recordings.get("ann", other) is None


def test_a_member_that_was_changed_is_asked_anew_and_one_that_only_waits_longer_is_not() -> None:
    member = OpenAIMember("ann", "http://localhost/v1", "m", api_key=Secret("one"))
    same = [replace(member, timeout_s=9.0), replace(member, retries=7), replace(member, api_key=Secret("two"))]
    assert {digest(each) for each in same} == {digest(member)}
    others = [replace(member, model="n"), replace(member, base_url="http://other/v1"), replace(member, name="bob")]
    assert len({digest(each) for each in (member, *others)}) == 4
    assert digest(replace(member, price=Price(1.0, 2.0))) != digest(member)


def test_scored_texts_are_known_in_any_company(tmp_path: Path) -> None:
    with Recordings(tmp_path / "r.jsonl", [ANN]) as recordings:
        recordings.put_scores("ann", ASKED, ("a", "b", "c"), scores(-1.0, -2.0, -3.0))
    with Recordings(tmp_path / "r.jsonl", [ANN]) as again:
        found = again.get_scores("ann", ASKED, ("c", "a"))
        assert found is not None
        assert [score.logprob for score in found.scores] == [-3.0, -1.0]
        assert found.usage.input_tokens == 90  # the prompt of 70, and two texts of 10
        assert found.latency_s == pytest.approx(2.0 * 90 / 100)
        assert again.get_scores("ann", ASKED, ("a", "d")) is None
        assert again.get_scores("ann", Request.of("Why?"), ("a",)) is None
        assert again.get_scores("ann", ASKED, ()) is None


def test_scores_of_unknown_length_keep_the_time_of_the_call(tmp_path: Path) -> None:
    with Recordings(tmp_path / "r.jsonl", [ANN]) as recordings:
        recordings.put_scores("ann", ASKED, ("a", "b"), scores(-1.0, -2.0, read=None))
        found = recordings.get_scores("ann", ASKED, ("b",))
        assert found is not None
        assert (found.latency_s, found.usage.input_tokens) == (2.0, None)


def test_half_a_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Recordings(path, [ANN]) as recordings:
        recordings.put("ann", ASKED, SAID)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    with Recordings(path, [ANN]) as again:
        assert len(again) == 1
        assert path.read_bytes() == whole
        again.put("ann", Request.of("Why?"), SAID)
    with Recordings(path, [ANN]) as last:
        assert len(last) == 2


@pytest.mark.parametrize("line", ["[]", "{}", "nonsense", '{"member": "x", "asked": "y", "completion": 5}'])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(ConfigError, match=r"r\.jsonl':1 is no recording"):
        Recordings(path, [ANN])
    assert path.read_text() == f"{line}\n"


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot keep recordings"):
        Recordings(tmp_path / "no" / "r.jsonl", [ANN])
