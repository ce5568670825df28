"""``coterie calibrate`` on traces of real runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from coterie import BallotMode, Committee, PeerBlend, ScriptedMember, Trace
from coterie.cli.app import app
from coterie.errors import ConfigError, TraceError
from coterie.store import Database
from coterie.types import KeptRun

NAMES = ("ann", "bob", "cyd", "dan")
TRUTH = {"ann": -1.0, "bob": -2.0, "cyd": -3.0, "dan": -4.0}
"""How likely a good reviewer finds each answer: ann's is the best."""


def member(name: str) -> ScriptedMember:
    """Answers with its name, and finds likely what is good; dan, whose answers are the worst, has it all backwards."""
    likely = {other: -5.0 - worth if name == "dan" else worth for other, worth in TRUTH.items()}
    return ScriptedMember(name, (name,), likelihoods=likely, ballot=BallotMode.LIKELIHOOD)


def asked(folder: Path, names: Sequence[str], runs: int, method: str = "default") -> Path:
    """A folder with the traces of so many peer-reviewed questions."""
    folder.mkdir(parents=True, exist_ok=True)
    traces: list[Trace] = []
    blend = PeerBlend(tuple(names), top_k=1)
    with Committee([member(name) for name in names], {"default": blend, method: blend}) as committee:
        for number in range(runs):
            committee.ask(f"question {number}", method=method, on_trace=traces.append)
    for number, trace in enumerate(traces):
        trace.save(folder / f"{method}-{number:03}.jsonl")
    return folder


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty runs of four members: 120 reviews."""
    return asked(tmp_path_factory.mktemp("traces") / "runs", NAMES, 30)


def calibrate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["calibrate", "reviewers", *map(str, arguments)])


def printed(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


# ---- what it learns ---------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["prd", "pico"])
def test_weights_are_learned_from_real_runs(traces: Path, by: str) -> None:
    said = printed(calibrate(traces, "--by", by, "--json"))
    assert (said["by"], said["runs"], said["reviews"]) == (by, 30, 120)
    weights = said["weights"]
    assert list(weights) == ["ann", "bob", "cyd", "dan"]
    assert weights["ann"] == 1.0
    assert weights["ann"] > weights["cyd"] > weights["dan"] >= 0.2
    rows = {row["reviewer"]: row for row in said["reviewers"]}
    assert {row["reviews"] for row in rows.values()} == {30}
    # Each pair is judged by two; a pair of two honest ones agrees, and dan never with its other one.
    assert rows["dan"]["agreement"] == 0.0
    assert said["trusted"] > 0.5


def test_uniform_shows_the_win_rates(traces: Path) -> None:
    said = printed(calibrate(traces, "--by", "uniform", "--json"))
    assert set(said["weights"].values()) == {1.0}
    # Of its six battles a question ann wins the four that bob and cyd judge. Dan, who has the others backwards, makes
    # up for what ann has over bob and cyd, and nobody finds dan's answer the better one.
    rates = {row["reviewer"]: row["score"] for row in said["reviewers"]}
    assert rates == pytest.approx({"ann": 4 / 6, "bob": 4 / 6, "cyd": 4 / 6, "dan": 0.0})


def test_people_read_a_table_and_what_it_rests_on(traces: Path) -> None:
    done = calibrate(traces)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "reviewer"
    assert [line.split()[0] for line in lines[1:5]] == ["ann", "bob", "cyd", "dan"]
    assert "note: raised to 0.2: dan" in lines
    assert lines[-1].startswith("learned by prd from 120 reviews in 30 runs; own answers go with siding")


def test_the_lowest_weight_is_a_choice(traces: Path) -> None:
    said = printed(calibrate(traces, "--lowest", "0", "--json"))
    assert said["weights"]["dan"] == 0.0
    assert printed(calibrate(traces, "--lowest", "0.5", "--json"))["weights"]["dan"] == 0.5


# ---- which traces -----------------------------------------------------------------------------


def test_files_and_folders_in_folders_are_read_and_a_run_once(traces: Path, tmp_path: Path) -> None:
    one = next(iter(sorted(traces.iterdir())))
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "copy.jsonl").write_bytes(one.read_bytes())
    said = printed(calibrate(one, traces, tmp_path, "--json"))
    assert (said["runs"], said["reviews"]) == (30, 120)
    assert "2 traces are of runs that were read already" in said["notes"]


def test_a_method_is_chosen_by_name_or_kind(tmp_path: Path) -> None:
    asked(tmp_path, NAMES, 3)
    asked(tmp_path, NAMES, 2, "other")
    for method, runs in (("default", 3), ("other", 2), ("peer_blend", 5)):
        said = printed(calibrate(tmp_path, "--method", method, "--force", "--json"))
        assert (said["runs"], said["reviews"]) == (runs, 4 * runs)
    done = calibrate(tmp_path, "--method", "absent")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "none of these traces is of a method with the name or kind 'absent'"


def test_a_file_in_a_folder_that_is_no_trace_is_left_out_and_a_named_one_is_an_error(
    traces: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"not": "a trace"}\n', encoding="utf-8")
    done = calibrate(tmp_path, traces, "--json")
    said = json.loads(done.stdout)
    assert said["runs"] == 30
    assert "1 files in folders are no traces" in said["notes"]
    assert done.stderr.startswith("coterie: left out: ")
    assert isinstance(calibrate(other, traces).exception, TraceError)
    assert isinstance(calibrate(tmp_path / "absent.jsonl").exception, TraceError)


def test_a_folder_without_traces_is_said_to_be_one(tmp_path: Path) -> None:
    done = calibrate(tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == f"there is no trace (*.jsonl) in the folder {str(tmp_path)!r}"


# ---- too little -------------------------------------------------------------------------------


def test_too_little_is_refused_with_the_count_and_may_be_forced(tmp_path: Path) -> None:
    asked(tmp_path, NAMES[:3], 2)
    done = calibrate(tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        "too little to learn weights from: 3 members reviewed each other, and 4 are needed; "
        "there are 6 reviews, and 100 are needed: record more traces, or force it (--force)"
    )
    forced = calibrate(tmp_path, "--force")
    assert forced.exit_code == 0
    assert "note: forced: there are 6 reviews, and 100 are needed" in forced.stdout


def test_two_members_never_compare_two_others(tmp_path: Path) -> None:
    asked(tmp_path, NAMES[:2], 2)
    done = calibrate(tmp_path, "--force")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "none of the 2 runs read has a ballot by a member on two other members' answers"


# ---- files ------------------------------------------------------------------------------------


def test_weights_are_written_as_they_are_pasted(traces: Path, tmp_path: Path) -> None:
    for name, read in (("weights.yaml", yaml.safe_load), ("weights.json", json.loads)):
        file = tmp_path / name
        said = printed(calibrate(traces, "--out", file, "--json"))
        written = read(file.read_text(encoding="utf-8"))
        assert written == {"weights": said["weights"]}
    assert (
        (tmp_path / "weights.yaml")
        .read_text(encoding="utf-8")
        .startswith("# Reviewers' weights, learned by prd from 120 reviews in 30 runs.\n")
    )


def test_a_file_that_cannot_be_written_is_said_before_anything_is_read(traces: Path, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "no" / "such" / "weights.yaml"):
        done = calibrate(traces / "absent.jsonl", "--out", out)
        assert isinstance(done.exception, ConfigError)
        assert str(done.exception).startswith(f"cannot write the weights to {str(out)!r}: ")


# ---- from what people said --------------------------------------------------------------------


def test_what_the_store_gathered_teaches_reviewers_weights(tmp_path: Path) -> None:
    """Feedback and traces out of a store, as a gateway leaves them; people prefer ann, whom dan finds the worst."""
    url = str(tmp_path / "store.db")
    traces = [Trace.load(file) for file in sorted(asked(tmp_path / "asked", NAMES, 12).glob("*.jsonl"))]

    async def gather() -> None:
        async with Database.at(url, keep_texts=True).open() as store:
            for trace in traces:
                run = trace.started.run
                await store.runs.keep([KeptRun(run, "", 0.0, trace.lines)])
                await store.journals.append("feedback", [{"run": run, "preferred": "bob", "over": "cyd"}])

    asyncio.run(gather())
    config = tmp_path / "coterie.yaml"
    config.write_text(f"members: {{a: {{engine: scripted, replies: [x]}}}}\nstore: {{url: {url}}}\n", encoding="utf-8")
    for what, out in (("feedback", "said.jsonl"), ("runs", "runs")):
        wanted = ["export", what, "--out", str(tmp_path / out), "--config", str(config)]
        assert CliRunner().invoke(app, wanted).exit_code == 0
        assert isinstance(CliRunner().invoke(app, wanted).exception, ConfigError)  # it is there already
    learned = printed(
        calibrate(tmp_path / "runs", "--by", "people", "--feedback", tmp_path / "said.jsonl", "--force", "--json")
    )
    assert learned["by"] == "people"
    assert learned["weights"] == {"ann": 1.0, "bob": 0.2, "cyd": 0.2, "dan": 0.2}  # only ann reviewed both, and rightly


@pytest.mark.parametrize("arguments", [["--by", "people"], ["--feedback", "said.jsonl"]])
def test_feedback_and_people_belong_together(traces: Path, arguments: list[str]) -> None:
    assert isinstance(calibrate(traces, *arguments).exception, ConfigError)
