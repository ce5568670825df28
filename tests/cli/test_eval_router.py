"""``coterie eval router`` as people and scripts use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("numpy", reason="scores are arrays")

import tiny_outcomes
from coterie.cli.app import app
from coterie.errors import ConfigError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of two members and of three, an encoder, and vectors of this module's own."""
    pytest.importorskip("tokenizers", reason="the encoder's words need the extra local")
    folder = tmp_path_factory.mktemp("routers")
    (folder / "table").mkdir()
    tiny_outcomes.table(folder / "table")
    tiny_outcomes.written(folder / "two.jsonl", tiny_outcomes.records())
    tiny_outcomes.written(folder / "three.jsonl", tiny_outcomes.records(members=("small", "middle", "large")))
    tiny_outcomes.written(folder / "other.jsonl", tiny_outcomes.records(n=40, seed=9))
    return folder


@pytest.fixture(autouse=True)
def kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_VECTORS", str(place / "vectors"))


def invoked(place: Path, *arguments: object, data: str = "two.jsonl") -> Result:
    static = json.dumps({"kind": "static", "model": str(place / "table")})
    words = ["eval", "router", "--data", str(place / data), "--encoder", static, "--resamples", "50", *arguments]
    return CliRunner().invoke(app, [str(word) for word in words])


def found(place: Path, *arguments: object, data: str = "two.jsonl") -> dict[str, Any]:
    done = invoked(place, *arguments, "--json", data=data)
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def row(results: dict[str, Any], name: str) -> dict[str, Any]:
    made: dict[str, Any] = next(row for row in results["rows"] if row["name"] == name)
    return made


def refused(place: Path, *arguments: object, data: str = "two.jsonl") -> str:
    done = invoked(place, *arguments, data=data)
    assert isinstance(done.exception, ConfigError), done.output
    return str(done.exception)


# ---- what is told ---------------------------------------------------------------------------------


def test_two_members_are_compared_by_calls_with_baselines_and_the_oracle(place: Path) -> None:
    results = found(place, "--router", "near={kind: knn, k: 3}")
    assert results["headline"] == "apgr"
    assert results["pair"] == {"weak": "small", "strong": "large"}
    names = [row["name"] for row in results["rows"]]
    assert names == ["near", "length", "bag_of_words", "knn", "small", "large", "random mix", "oracle"]
    assert row(results, "random mix")["figures"]["apgr"]["value"] == pytest.approx(0.5)
    bag, oracle = row(results, "bag_of_words"), row(results, "oracle")
    assert bag["figures"]["apgr"]["value"] > 0.6, "which letters a prompt has tells whether it is hard"
    assert bag["against"]["random mix"]["beats"] == "yes"
    assert oracle["figures"]["apgr"]["value"] >= bag["figures"]["apgr"]["value"]
    assert row(results, "near")["timing"]["queries"] > 0


def test_three_members_are_compared_by_quality_and_cost_in_words_and_tables(place: Path) -> None:
    done = invoked(place, "--router", "near={kind: knn, k: 3}", data="three.jsonl")
    assert done.exit_code == 0, done.output
    for words in (
        "1 router and 3 baselines between 3 members (small, middle, large), on 80 prompts",
        "The best single member on these prompts is large.",
        "Routers of a pool",
        "mean score over all budgets",
        "Time of a decision",
        "near reaches mean score over all budgets",
    ):
        assert words in done.stdout


def test_a_report_is_written_and_forecasts_come_back_from_their_file(place: Path, tmp_path: Path) -> None:
    first = invoked(place, "-r", "near=knn", "--save-forecasts", tmp_path / "said", "--out", tmp_path / "report")
    assert first.exit_code == 0, first.output
    assert "the report: " in first.stdout
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "<h1>Routers on two</h1>" in page
    before = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    again = found(place, "-r", "length", "--forecasts", f"elsewhere={tmp_path / 'said' / 'near.npz'}")
    assert row(again, "elsewhere")["figures"] == row(before, "near")["figures"]
    assert any("made elsewhere" in warning for warning in again["told"]["warnings"])


def test_learning_from_less_is_told_by_size(place: Path) -> None:
    results = found(place, "-r", "length", "--train-sizes", "10,20,4000", "--folds", "2")
    assert set(results["learned"]["length"]) == {"10", "20", "40"}, "two sizes and all there is"


def test_only_some_prompts_and_members_take_part(place: Path) -> None:
    easy = found(place, "-r", "length", "--only", "easy", "--folds", "2", data="three.jsonl")
    assert 0 < easy["prompts"] < 80
    pair = found(place, "-r", "length", "--weak", "small", "--strong", "large", data="three.jsonl")
    assert (pair["headline"], pair["members"]) == ("apgr", ["small", "large"])
    pool = found(place, "-r", "length", "--member", "small", "--member", "large")
    assert pool["headline"] == "band"


def test_another_file_is_measured_by_what_learned_from_all_of_the_data(place: Path) -> None:
    results = found(place, "-r", "length", "--test", place / "other.jsonl")
    assert results["prompts"] == 40


def test_a_router_that_asks_for_money_is_charged(place: Path) -> None:
    free = found(place, "-r", "near=knn", data="three.jsonl")
    paid = found(place, "-r", "near=knn", "--router-usd", "near=0.001", data="three.jsonl")
    assert row(paid, "near")["figures"]["usd"]["value"] == pytest.approx(
        row(free, "near")["figures"]["usd"]["value"] + 0.001
    )


def test_a_kind_that_cannot_learn_is_left_out_and_said_so(place: Path, tmp_path: Path) -> None:
    lines = [{"prompt": f"z {n}", "outcomes": {"small": {"score": 1.0}, "large": {"score": 1.0}}} for n in range(40)]
    tiny_outcomes.written(tmp_path / "same.jsonl", lines)
    results = found(place, "-r", "{kind: hybrid, labels: prob}", data=str(tmp_path / "same.jsonl"))
    assert "hybrid" not in [row["name"] for row in results["rows"]]
    assert any(warning.startswith("hybrid is left out: ") for warning in results["told"]["warnings"])


# ---- trained routers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    folder = place / "mine"
    words = ["train", "router", "length", "--data", str(place / "two.jsonl"), "--out", str(folder), "--held-out", "0.3"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return folder


def test_a_trained_router_is_measured_on_what_it_was_not_trained_on(place: Path, trained: Path) -> None:
    results = found(place, "-r", trained, "--held-out", "0.3")
    assert row(results, "mine")["kind"] == "router"
    assert 10 < results["prompts"] < 40
    assert row(results, "mine")["figures"]["apgr"]["value"] == pytest.approx(
        row(results, "length")["figures"]["apgr"]["value"]
    ), "the same kind, learned from the same prompts"
    assert row(found(place, "-r", trained, "--test", place / "other.jsonl"), "mine")["timing"]["fit_s"] is None


def test_a_trained_router_is_not_measured_on_what_it_was_trained_on(place: Path, trained: Path) -> None:
    said = refused(place, "-r", trained)
    assert said.startswith("the router 'mine' was trained on ")
    assert "two.jsonl:" in said
    assert "--held-out" in said


# ---- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-r", "nearest"), "'nearest' is neither a kind of router"),
        (("--weak", "small"), "name both, or neither"),
        (("--weak", "small", "--strong", "huge"), "'huge'"),
        (("--usd", "large"), "--usd is NAME=USD"),
        (("--router-usd", "=1"), "--router-usd is NAME=USD"),
        (("--forecasts", "bert.npz"), "--forecasts is NAME=FILE"),
        (("--train-sizes", "many"), "--train-sizes are numbers of prompts"),
        (("--train-sizes", "0"), "--train-sizes are numbers of prompts"),
        (("--only", "nothing"), "those of the data are easy, hard"),
        (("--price", "large=1"), "--price is MEMBER=IN,OUT"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_words(place: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(place, *arguments)


def test_the_same_prompt_in_both_files_is_refused_with_its_rows(place: Path) -> None:
    said = refused(place, "--test", place / "two.jsonl")
    assert "the same prompt is on both sides" in said
    assert "two.jsonl:1 and " in said


def test_battles_alone_cannot_be_measured_on(place: Path) -> None:
    tiny_outcomes.written(place / "battles.jsonl", tiny_outcomes.battles(20))
    assert "measured on outcomes, and there are none" in refused(place, data="battles.jsonl")


def test_the_command_itself_says_what_is_wrong_in_one_line(place: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COTERIE_")}
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "eval", "router", "--data", "nowhere.jsonl"]
    done = subprocess.run(command, capture_output=True, cwd=place, env=environment, timeout=60, check=False, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("coterie: ")
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
