"""``coterie train`` as people use it: each command from a file of examples to a folder that a judge opens."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

import learnable
from coterie.cli import fields, training_progress
from coterie.cli.app import app
from coterie.errors import ConfigError
from coterie.training.settings import PairRankerTraining, PointwiseRankerTraining

COMMANDS = {"pair-ranker": PairRankerTraining, "pointwise-ranker": PointwiseRankerTraining}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("torch", reason="training needs the extra train")
    pytest.importorskip("accelerate", reason="training needs the extra train")
    return learnable.encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return learnable.written(tmp_path_factory.mktemp("data") / "pairs.jsonl", learnable.pairs())


def options(**changed: Any) -> list[str]:
    """The tiny settings as they are typed."""
    settings = {**learnable.TINY, **changed}
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def process(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    call = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "train", *arguments]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


# ---- whole runs ---------------------------------------------------------------------------------


def test_a_pair_ranker_from_a_file_to_a_card(encoder: str, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "ranker"
    call = ["pair-ranker", "--data", pairs, "--licence", "made up", "--base", encoder, "--out", str(out), "--json"]
    running = process(*call, *options())
    stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 0, stderr
    card = json.loads(stdout)
    assert card == json.loads((out / "card.json").read_text(encoding="utf-8"))
    everything = card["measurements"]["all"]
    assert everything["ranker"]["pairwise_accuracy"] > everything["constant"]["pairwise_accuracy"] + 0.2
    lines = stderr.splitlines()
    assert all(line.startswith("coterie: ") or "too long for the ranker" in line for line in lines), stderr
    assert any("updates/s" in line and "left" in line for line in lines)
    assert sum("held-out prompts: pairwise accuracy" in line for line in lines) == learnable.TINY["epochs"]


def test_the_ranker_of_this_package_is_no_base_and_said_to_be_before_anything_is_read(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="training needs the extra train")
    call = ["train", "pair-ranker", "--data", str(tmp_path / "absent.jsonl"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*call, "--base", "coterie/pair-ranker-minilm"])
    assert isinstance(done.exception, ConfigError)
    assert "is exported for inference alone (model.onnx)" in str(done.exception)
    assert "--base sentence-transformers/all-MiniLM-L6-v2" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["pointwise", "simcls", "summareranker"])
def test_each_kind_of_pointwise_ranker(encoder: str, pairs: str, tmp_path: Path, kind: str) -> None:
    call = ["train", "pointwise-ranker", "--data", pairs, "--base", encoder, "--out", str(tmp_path / "ranker")]
    done = CliRunner().invoke(app, [*call, "--kind", kind, *options(epochs=2)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "ranker  longer  constant  chance" in done.stdout
    card = json.loads((tmp_path / "ranker" / "card.json").read_text(encoding="utf-8"))
    everything = card["measurements"]["all"]
    assert card["kind"] == kind
    assert everything["ranker"]["pairwise_accuracy"] > everything["constant"]["pairwise_accuracy"]
    assert card["data"]["files"] == [{"name": "pairs.jsonl", "licence": "not stated"}]


def test_an_interrupt_leaves_a_checkpoint_from_which_resume_goes_on(encoder: str, tmp_path: Path) -> None:
    file = learnable.written(tmp_path / "pairs.jsonl", learnable.pairs(100))
    settings = ["--data", file, "--base", encoder, *options(epochs=5)]
    running = process("pair-ranker", *settings, "--out", str(tmp_path / "stopped"))
    assert running.stderr is not None
    said = ""
    while "held-out prompts: pairwise accuracy" not in said:
        said += running.stderr.readline()
        assert running.poll() is None, said
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 130, stderr
    assert "stopped after update" in stderr
    assert "Traceback" not in stderr
    runner = CliRunner()
    for folder, resumed in (("stopped", ["--resume"]), ("whole", [])):
        call = ["train", "pair-ranker", *settings, *resumed, "--out", str(tmp_path / folder), "--json"]
        done = runner.invoke(app, call, catch_exceptions=False)
        assert done.exit_code == 0
    cards = [json.loads((tmp_path / name / "card.json").read_text(encoding="utf-8")) for name in ("stopped", "whole")]
    assert cards[0]["course"]["resumed_at"] >= 1
    assert cards[1]["course"]["resumed_at"] is None
    assert cards[0]["measurements"] == cards[1]["measurements"]
    assert cards[0]["course"]["best_step"] == cards[1]["course"]["best_step"]


# ---- what cannot work ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere.jsonl"], "'nowhere.jsonl' is no file"),
        (["--data", "a.jsonl", "--licence", "x", "--licence", "y"], "2 licences for 1 files"),
        (["--data", "a.jsonl", "--label-smoothing", "0.7"], "label_smoothing"),
        (["--data", "a.jsonl", "--held-out", "2"], "held_out"),
        (["--data", "a.jsonl", "--resume"], "no training to resume"),
        (["--data", "a.jsonl", "--loss", "hinge"], "instructgpt"),
        ([], "--data"),
    ],
)
def test_what_cannot_work_is_one_line_and_status_2(arguments: Sequence[str], said: str, tmp_path: Path) -> None:
    running = process("pair-ranker", *arguments, "--out", "out", cwd=tmp_path)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 2, stderr
    assert said in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


# ---- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_an_option_with_its_words(command: str) -> None:
    settings = COMMANDS[command]
    said = fields.explained(settings)
    assert set(said) == {field.name for field in dataclasses.fields(settings)}
    environment = {**os.environ, "COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"}
    done = CliRunner(env=environment).invoke(app, ["train", command, "--help"])
    for name in said:
        assert f"--{name.replace('_', '-')} " in done.stdout


@dataclasses.dataclass(frozen=True)
class Soup:
    """A dataclass with a field of every type."""

    name: str
    """What it is called."""
    spice: Literal["mild", "HOT"] = "mild"
    """How much it burns."""
    herbs: tuple[str, ...] = ("dill",)
    """What swims in it."""
    litres: float | None = None
    """How much there is."""
    bowls: int = 4
    """How many it fills."""

    def __post_init__(self) -> None:
        if self.bowls < 1:
            raise ConfigError("no bowls")


def cook(*arguments: str) -> tuple[Any, ...]:
    """The settings and the own option that a command gets for these arguments."""
    got: list[Any] = []

    def run(settings: Soup, *, loud: bool = False) -> None:
        got.extend((settings, loud))

    command = typer.Typer()
    command.command()(fields.command(Soup, run))
    done = CliRunner().invoke(command, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return tuple(got)


def test_options_become_fields() -> None:
    assert cook("--name", "borscht") == (Soup("borscht"), False)
    typed = ["--name", "x", "--spice", "HOT", "--herbs", "bay", "--herbs", "mint", "--litres", "2", "--bowls", "1"]
    assert cook(*typed, "--loud") == (Soup("x", "HOT", ("bay", "mint"), 2.0, 1), True)
    assert cook("--spice", "mild") == ()  # the name is missing
    assert cook("--name", "x", "--spice", "warm") == ()
    with pytest.raises(ConfigError, match="no bowls"):
        cook("--name", "x", "--bowls", "0")


# ---- progress -----------------------------------------------------------------------------------


def test_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    lines = training_progress.Lines()
    lines.began(2, 10_000)
    lines.learned(3, 0.5)
    for step in range(3, 7):
        lines.stepped(step)
    lines.measured(7, {"pairwise_accuracy": 0.75})
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "coterie: update 4 of 10000, loss 0.5000, 0.17 updates/s, 16:39:36 left",
        "coterie: update 6 of 10000, loss 0.5000, 0.17 updates/s, 16:39:24 left",
        "coterie: update 7, held-out prompts: pairwise accuracy 0.7500",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with training_progress.shown() as watch:
        watch.began(0, 4)
        watch.say("a line with [brackets] and \x1b[31m")
        for step in range(1, 5):
            watch.stepped(step)
        watch.learned(4, 0.25)
        assert not watch.stopping()
        signal.raise_signal(signal.SIGINT)
        assert watch.stopping()
    shown = screen.getvalue()
    assert "4/4" in shown
    assert "loss 0.2500" in shown
    assert "[brackets] and \u241b[31m" in shown
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
