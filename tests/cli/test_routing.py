"""``coterie route``, ``feedback`` and ``calibrate router``: who would be asked, what is learned, which setting fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from coterie import Committee
from coterie.cli.app import app
from coterie.errors import ConfigError, TraceError

pytest.importorskip("scipy", reason="the router of these tests is fitted with SciPy")

MEMBERS = {
    "small": {"engine": "scripted", "replies": ["ess"], "price": {"input_usd": 0.1, "output_usd": 0.4}},
    "large": {"engine": "scripted", "replies": ["ell"], "price": {"input_usd": 2.5, "output_usd": 10}},
}

N = 120


def prompt(n: int) -> str:
    """Different ones of 1 to 40 letters and a number: the longer, the harder for the small member."""
    return f"{'x' * (n % 40 + 1)} {n:03}"


def outcomes() -> list[dict[str, Any]]:
    return [
        {
            "prompt": prompt(n),
            "outcomes": {
                "small": {"score": int(n % 40 < 20), "cost": 0.001, "output_tokens": 5},
                "large": {"score": int(n % 8 > 0), "cost": 0.01, "output_tokens": 9},
            },
        }
        for n in range(N)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "outcomes.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in outcomes()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def artifact(data: Path) -> Path:
    """Trained as people do it, on the number of characters."""
    out = data.parent / "router"
    called("train", "router", "length", "--data", data, "--out", out, "--held-out", "0.3")
    return out


@pytest.fixture(scope="module")
def config(artifact: Path) -> Path:
    return written(artifact.parent / "coterie.yaml", routed(artifact))


def routed(artifact: Path, **more: Any) -> dict[str, Any]:
    """A committee of two, behind the trained router."""
    route = {
        "kind": "route",
        "members": list(MEMBERS),
        "router": {"kind": "trained", "path": str(artifact)},
        "decision": {"kind": "threshold", "at": 0.6},
    }
    return {"members": MEMBERS, "methods": {"default": route, "vote": {"kind": "vote", "members": ["small"]}}, **more}


def learning(folder: Path, **more: Any) -> Path:
    """A committee whose router has nothing to go by but what it hears."""
    route = {
        "kind": "route",
        "members": list(MEMBERS),
        "router": {"kind": "pickllm", "rule": "q_learning", "initial": 0.5, "step": 0.5},
    }
    return written(folder / "coterie.yaml", {"members": MEMBERS, "methods": {"default": route}, **more})


def written(file: Path, made: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return file


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def called(*arguments: object) -> str:
    """What a command that goes well prints."""
    done = call(*arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    """Why a command is refused."""
    done = call(*arguments)
    assert isinstance(done.exception, ConfigError), done.output
    return str(done.exception)


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", *map(str, arguments)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COTERIE_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


# ---- route ------------------------------------------------------------------------------------


def test_people_see_who_would_be_asked_and_why(config: Path) -> None:
    lines = called("route", "-c", config, "x").strip().splitlines()
    assert lines[0] == "prospects (length)"
    assert [line.split()[0] for line in lines[2:4]] == ["small", "large"]
    assert lines[-1].strip().startswith("small: large would be preferred with")
    long = called("route", "-c", config, prompt(39))
    assert "preferred to small with 0.6 or more (large:" in long


def test_programs_get_the_prospects_and_the_choice(config: Path) -> None:
    said = json.loads(called("route", "-c", config, "--json", "--seed", "1", prompt(39)))
    assert said["method"] == "default"
    assert said["choice"]["order"] == ["large", "small"]
    assert (said["prospects"]["router"], said["prospects"]["scale"]) == ("length", "score")
    small, large = said["prospects"]["members"]
    assert small["quality"] < 0.3 < large["quality"]
    assert small["output_tokens"] == 5.0
    tokens = len(prompt(39)) // 3 + 1
    assert small["cost_usd"] == pytest.approx((tokens * 0.1 + 5 * 0.4) / 1e6, rel=0.1)


def test_nobody_is_asked(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coterie.members.scripted.ScriptedMember.open", None)
    assert "choice" in called("route", "-c", config, "x")


def test_what_cannot_be_routed_is_said(config: Path, artifact: Path, tmp_path: Path) -> None:
    assert refused("route", "-c", config, "-m", "vote", "x") == (
        "the method 'vote' chooses nobody: it is a vote, not a route; methods that route: default"
    )
    assert "there is no method 'nobody'" in refused("route", "-c", config, "-m", "nobody", "x")
    assert "the question is empty" in refused("route", "-c", config, " ")
    absent = written(tmp_path / "c.yaml", routed(artifact.parent / "absent"))
    assert "holds no router" in refused("route", "-c", absent, "x")


# ---- members that come and go -----------------------------------------------------------------


def test_a_member_added_after_the_training_is_asked_last_and_the_basis_names_it(artifact: Path, tmp_path: Path) -> None:
    made = routed(artifact)
    made["members"] = {**MEMBERS, "new": {"engine": "scripted", "replies": ["new"]}}
    made["methods"]["default"]["members"] = ["new", "small", "large"]
    said = json.loads(called("route", "-c", written(tmp_path / "c.yaml", made), "--json", "x"))
    assert said["prospects"]["basis"] == "not trained on new"
    assert said["choice"]["order"] == ["small", "large", "new"]
    assert said["choice"]["reason"].endswith("not weighed, for quality or cost is unknown: new")


def test_a_member_removed_after_the_training_is_left_out(artifact: Path, tmp_path: Path) -> None:
    made = routed(artifact)
    made["methods"]["default"]["members"] = ["large"]
    said = json.loads(called("route", "-c", written(tmp_path / "c.yaml", made), "--json", "x"))
    assert said["choice"]["order"] == ["large"]
    assert [prospect["member"] for prospect in said["prospects"]["members"]] == ["large"]


# ---- feedback ---------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    pytest.importorskip("sqlalchemy", reason="the store needs the extra store")
    return learning(tmp_path, store={"url": str(tmp_path / "coterie.db")})


def expected(config: Path) -> dict[str, float]:
    said = json.loads(called("route", "-c", config, "--json", "x"))
    return {prospect["member"]: prospect["quality"] for prospect in said["prospects"]["members"]}


def test_a_router_learns_from_what_is_said_of_an_answer(stored: Path) -> None:
    answer = json.loads(called("ask", "-c", stored, "--json", "x"))
    assert (answer["answer"], answer["choice"]["order"]) == ("ess", ["small", "large"])
    assert expected(stored) == {"small": 0.5, "large": 0.5}
    assert called("feedback", answer["id"], "--rating", "0", "-c", stored) == f"learned from {answer['id']}\n"
    assert expected(stored) == {"small": 0.25, "large": 0.5}
    assert json.loads(called("ask", "-c", stored, "--json", "x"))["answer"] == "ell"


def test_a_preference_teaches_of_both(stored: Path) -> None:
    run = json.loads(called("ask", "-c", stored, "--json", "x"))["id"]
    said = json.loads(called("feedback", run, "--preferred", "large", "--over", "small", "-c", stored, "--json"))
    assert said == {"run": run, "known": True, "learned": True, "why": ""}
    assert expected(stored) == {"small": 0.25, "large": 0.75}
    again = called("feedback", run, "--preferred", "large", "--over", "small", "-c", stored)
    assert again == "kept, and nothing learned: the same was said of this run before\n"
    assert expected(stored) == {"small": 0.25, "large": 0.75}


def test_feedback_on_a_run_that_nobody_knows_is_kept(stored: Path) -> None:
    unknown = f"run-{'0' * 32}"
    said = called("feedback", unknown, "--rating", "1", "-c", stored)
    assert said.startswith(f"kept, but the store knows no run {unknown!r}: check the id. ")
    assert json.loads(called("feedback", unknown, "--rating", "1", "-c", stored, "--json"))["known"] is False


def test_feedback_on_an_id_that_no_run_has_is_refused(stored: Path) -> None:
    run = called("ask", "-c", stored, "x").splitlines()[-1].removeprefix("id ")
    for mistyped in (run[:-1], run.removeprefix("run-"), f"{run}0", "run-of-yesterday"):
        assert refused("feedback", mistyped, "--rating", "1", "-c", stored).startswith(
            f"{mistyped!r} is no answer's id"
        )
    assert called("feedback", run, "--rating", "1", "-c", stored) == f"learned from {run}\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "give --rating, or --preferred and --over"),
        (["--preferred", "small"], "a preference names two members"),
        (["--preferred", "small", "--over", "small"], "'small' cannot be preferred to itself"),
        (["--preferred", "huge", "--over", "small"], "'huge' is not among the members"),
    ],
)
def test_feedback_that_says_nothing_is_refused(more: list[str], says: str, stored: Path) -> None:
    assert says in refused("feedback", f"run-{'0' * 32}", "-c", stored, *more)


@pytest.mark.parametrize("rating", ["5", "-0.1", "nan", "good"])
def test_a_rating_off_the_scale_is_a_mistake_in_typing(rating: str, stored: Path) -> None:
    done = call("feedback", "some-run", "--rating", rating, "-c", stored)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Invalid value for '--rating'" in done.stderr


def test_without_a_store_nothing_can_be_learned_and_a_process_says_so(tmp_path: Path) -> None:
    done = process("feedback", "some-run", "--rating", "1", "-c", learning(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("coterie: the configuration names no store, so nothing is known of earlier runs")


# ---- calibrate router -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traces(config: Path) -> Path:
    """What the committee was asked: every prompt once."""
    folder = config.parent / "traces"
    folder.mkdir()
    with Committee.from_config(config) as committee:
        for n in range(N):
            trace = committee.ask(prompt(n)).trace
            trace.save(folder / f"{n}.jsonl")
    return folder


def calibrated(*arguments: object) -> Any:
    return json.loads(called("calibrate", "router", *arguments, "--json"))


def test_a_share_of_calls_is_fitted_to_recorded_traffic(traces: Path, config: Path) -> None:
    said = calibrated(traces, "-c", config, "--share", "large=0.3")
    assert (said["method"], said["requests"], said["wanted"]) == ("default", N, 0.3)
    assert said["decision"]["kind"] == "threshold"
    assert said["fitted"]["shares"]["large"]["value"] == pytest.approx(0.3, abs=0.05)
    assert said["figure"] == said["checked"]["shares"]["large"]
    assert said["figure"]["low"] < 0.25  # so few requests do not tell whether it is within 0.25 to 0.35
    assert (said["held"], said["verdict"]) == (None, "cannot tell")
    assert said["checked"]["quality"]["value"] is None  # nobody scored this traffic


def test_a_mean_cost_is_expected_from_prices_where_traffic_has_no_outcomes(traces: Path, config: Path) -> None:
    said = calibrated(traces, "-c", config, "--mean-usd", "0.00005", "--decision", "utility")
    assert said["decision"]["kind"] == "utility"
    assert said["fitted"]["mean_usd"]["value"] <= 0.00005


def test_outcomes_tell_what_quality_and_cost_come_out(data: Path, config: Path) -> None:
    paid = calibrated("--data", data, "-c", config, "--mean-usd", "0.004")
    assert 0.003 < paid["fitted"]["mean_usd"]["value"] <= 0.004 + 1e-12
    good = calibrated("--data", data, "-c", config, "--quality", "0.7")
    assert 0.7 <= good["fitted"]["quality"]["value"] < 0.8
    drop = calibrated("--data", data, "-c", config, "--drop", "0.02")
    assert drop["wanted"] == pytest.approx(0.98 * 0.875, abs=0.05)
    assert drop["wanted"] == pytest.approx(0.98 * drop["checked"]["best_single_quality"])
    assert (drop["figure"], drop["checked"]["best_single"]) == (drop["checked"]["drop"], "large")


def test_people_read_both_sides_and_whether_it_holds(data: Path, config: Path) -> None:
    said = called("calibrate", "router", "--data", data, "-c", config, "--share", "large=0.5")
    lines = said.splitlines()
    assert lines[0].split("  ")[-1].strip() == "95 %"
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "share of small",
        "share of large",
        "mean USD",
        "mean score",
    ]
    assert lines[5].startswith("drop below the best single  ")
    found = calibrated("--data", data, "-c", config, "--share", "large=0.5")
    value, low, high = (f"{found['figure'][key]:.4g}" for key in ("value", "low", "high"))
    assert lines[-2] == (
        f"a share of 0.5 for large, give or take 0.05: cannot tell, with {value} ({low} to {high}) "
        "on the prompts set aside"
    )
    assert lines[-1].endswith("methods.default.decision (--write puts it there)")


def test_people_read_what_a_drop_is_measured_against(data: Path, config: Path) -> None:
    lines = called("calibrate", "router", "--data", data, "-c", config, "--drop", "0.8").splitlines()
    assert lines[-2].startswith("at most 0.8 of the best single member's mean score less (large, 0.")
    assert ": held, with " in lines[-2]


def test_the_setting_is_written_beside_the_comments(data: Path, artifact: Path, tmp_path: Path) -> None:
    made = yaml.safe_dump(routed(artifact), sort_keys=False)
    file = tmp_path / "coterie.yaml"
    file.write_text(f"# ours, keep it\n{made}# and the end\n", encoding="utf-8")
    said = calibrated("--data", data, "-c", file, "--share", "large=0.3", "--write")
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ours, keep it\n")
    assert text.endswith("# and the end\n")
    assert yaml.safe_load(text)["methods"]["default"]["decision"] == said["decision"]
    chosen = [json.loads(called("route", "-c", file, "--json", prompt(n)))["choice"]["order"][0] for n in (0, 39)]
    assert chosen == ["small", "large"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--share", "large"], "--share is MEMBER=SHARE, such as large=0.3, not 'large'"),
        (["--share", "huge=0.3"], "'huge' is not among the members"),
        (["--share", "large=2"], "a share lies between 0 and 1"),
        (["--share", "large=0.3", "--drop", "0.1"], "calibrate for one aim"),
        ([], "calibrate for one aim"),
        (["--mean-usd", "0"], "no setting costs at most 0 USD a request: the least is"),
        (["--quality", "3"], "no setting reaches a mean score of 3"),
        (
            ["--share", "large=0.3", "-m", "vote"],
            "the method 'vote' chooses nobody; methods that route (--method): defau",
        ),
        (
            ["--share", "large=0.3", "-m", "absent"],
            "there is no method 'absent'; methods that route (--method): default",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_said(more: list[str], says: str, data: Path, config: Path) -> None:
    assert says in refused("calibrate", "router", "--data", data, "-c", config, *more)


def test_traffic_is_traces_or_outcomes(data: Path, config: Path, traces: Path, tmp_path: Path) -> None:
    aim = ("-c", config, "--share", "large=0.3")
    assert refused("calibrate", "router", *aim) == "name recorded traces, or outcomes with --data: one of them"
    assert "one of them" in refused("calibrate", "router", traces, "--data", data, *aim)
    assert isinstance(call("calibrate", "router", tmp_path / "absent.jsonl", *aim).exception, TraceError)
    few = [traces / f"{n}.jsonl" for n in range(5)]
    assert "5 requests are too few to calibrate on" in refused("calibrate", "router", *few, *aim)
    assert "score of every member" in refused("calibrate", "router", traces, "-c", config, "--quality", "0.5")


def test_a_decision_without_a_setting_needs_another_one(data: Path, artifact: Path, tmp_path: Path) -> None:
    made = routed(artifact)
    made["methods"]["default"]["decision"] = "best"
    file = written(tmp_path / "c.yaml", made)
    said = refused("calibrate", "router", "--data", data, "-c", file, "--share", "large=0.3")
    assert said.startswith("Best has no setting to calibrate: name another decision with --decision")
    found = calibrated("--data", data, "-c", file, "--share", "large=0.3", "--decision", "threshold")
    assert found["decision"]["kind"] == "threshold"


def test_a_router_that_says_nothing_is_noticed(data: Path, tmp_path: Path) -> None:
    made = routed(tmp_path)
    encoder = {"kind": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "away", "retries": 0, "timeout_s": 5}
    made["methods"]["default"]["router"] = {"kind": "eagle", "encoder": encoder}
    made["methods"]["default"]["decision"] = {"kind": "threshold", "at": 0.6, "order": list(MEMBERS)}
    file = written(tmp_path / "c.yaml", made)
    done = call("calibrate", "router", "--data", data, "-c", file, "--share", "large=0.3")
    assert isinstance(done.exception, ConfigError)
    assert "the router expects nothing of any member on any of these requests" in str(done.exception)
    assert f"of {N} of {N} requests the router expects nothing" in done.stderr
    answer = json.loads(called("ask", "-c", file, "--json", "x"))
    assert answer["answer"] == "ess"
    assert answer["notes"][0].startswith("the router could not say anything: no vectors from 'away'")


def test_the_embedded_committee_cannot_be_written_to(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "calibrate", "router", "--data", str(data)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COTERIE_")}
    done = subprocess.run(
        [*command, "--share", "large=0.3", "--write"],
        capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "`coterie init` writes one of your own" in done.stderr
