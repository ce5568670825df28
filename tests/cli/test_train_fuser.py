"""``coterie train fuser`` and ``coterie eval fuser``: from examples to a card that says what fusing is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

pytest.importorskip("torch", reason="training needs the extra train")
pytest.importorskip("peft", reason="training an adapter needs the extra train")
pytest.importorskip("rouge_score", reason="ROUGE needs the extra eval")

from coterie.cli import eval_fuser, train_fuser
from coterie.errors import ConfigError
from fuser_examples import naming, write
from tiny_models import chat_llama

app = typer.Typer()
app.command("train")(train_fuser.fuser)
app.command("eval")(eval_fuser.fuser)

QUICK = ("--device", "cpu", "--epochs", "2", "--batch", "8", "--accumulate", "1", "--evaluations", "1")


def said(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def json_of(*arguments: object) -> Mapping[str, Any]:
    result = said(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: Mapping[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(naming(200), tmp_path_factory.mktemp("data") / "made.jsonl")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_llama(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "fuser"
    own = ("--data", data, "--licence", "CC0-1.0", "--base", base, "--out", out, "--learning-rate", "1e-2")
    return out, said("train", *own, "--ranker", "scores", "--top-k", "2", *QUICK)


def test_training_tells_its_loss_beside_what_it_has_to_beat(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    headings, numbers, _, written = result.stdout.splitlines()
    assert headings.split("  ")[0] == "held-out loss"
    after, before, constant, _ = map(float, numbers.split())
    assert after < constant < before
    assert written == f"written to {out}"
    assert "held-out prompts: loss" in result.stderr
    card = json.loads((out / "card.json").read_text())
    assert card["data"]["files"] == [{"name": "made.jsonl", "licence": "CC0-1.0"}]
    assert card["data"]["chosen_by"] == "the score 'fits' in the data"
    assert card["settings"]["top_k"] == 2


def test_an_adapter_is_trained_and_evaluated_on_its_base(
    data: Path, base: Path, trained: tuple[Path, Result], tmp_path: Path
) -> None:
    out = tmp_path / "adapter"
    own = ("--data", data, "--base", trained[0], "--base-name", "someone/tiny", "--out", out)
    layers = ("--targets", "q_proj", "--targets", "v_proj")
    card = json_of("train", *own, "--lora", "--rank", "4", "--alpha", "8", *layers, *QUICK)
    assert (card["base"], card["adapter"], card["data"]["files"][0]["licence"]) == ("someone/tiny", True, "not stated")
    assert card["settings"]["targets"] == ["q_proj", "v_proj"]
    asked = ("--fuser", out, "--base", trained[0], "--ranker", "scores", "--held-out", "0.15", "--limit", "8")
    found = json_of("eval", data, *asked)
    assert found["prompts"] == len(found["samples"]) <= 8
    assert {"question", "reference", "best", "fused"} <= set(found["samples"][0])


def test_evaluating_says_whether_fusing_gains_and_the_card_takes_it(data: Path, trained: tuple[Path, Result]) -> None:
    out, _ = trained
    result = said(
        "eval", data, "--fuser", f"mine={out}", "--ranker", "scores", "--top-k", "2", "--held-out", "0.15",
        "--metric", "rougeL", "--metric", "rouge1", "--judge", "length", "--card",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "mine beside the best candidate, chosen by the score 'fits' in the data" in result.stdout
    lines = {line.split("  ")[1]: line for line in result.stdout.splitlines() if line.startswith("  ")}
    assert {"rougeL", "rouge1", "characters", "vote of length"} <= set(lines)
    # The reference is the named word alone, the candidates have words before it.
    assert "rougeL: fusing gains +0." in result.stdout
    assert "vote of length: fusing loses -" in result.stdout
    assert "In short: fusing gains in 2 and loses in 1 of 3 measurements." in result.stdout
    card = json.loads((out / "card.json").read_text())
    assert card["measurements"]["fusing"]["lines"][0]["verdict"] == "gains"
    page = (out / "README.md").read_text()
    assert "On `made.jsonl`, the 0.15 held out: mine wrote out of the 2 best candidates" in page


def test_a_fuser_that_asks_members_of_a_configuration(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "coterie.yaml"
    config.write_text(
        "members: {writer: {engine: scripted, replies: ['Paris .']}}\n"
        "methods: {default: {kind: best_of, members: [writer]}}\n"
    )
    asked = ("--fuser", "{kind: generative, member: writer}", "--config", config, "--limit", "6", "--judge", "random")
    found = json_of("eval", data, *asked)
    assert found["fuser"] == "writer"
    assert [sample["fused"] for sample in found["samples"]] == ["Paris ."] * 6
    assert [line["name"] for line in found["lines"]] == ["rougeL", "characters", "vote of random"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("eval", "{data}", "--fuser", "nobody"), "no trained fuser's folder"),
        (("eval", "{data}", "--fuser", "aggregate", "--card"), "--card adds to the card"),
        (("eval", "{data}", "--fuser", "aggregate", "--metric", "{{name: nothing}}"), "none of the metrics"),
        (("eval", "{data}", "--fuser", "aggregate", "--metric", "{{model: x}}"), "no metric's name"),
        (("eval", "{data}", "--fuser", "aggregate", "--judge", "nobody"), "is no judge"),
        (("eval", "{data}", "--fuser", "aggregate", "--top-k", "1"), "no example on which fusing can be measured"),
        (("train", "--data", "{data}", "--out", "{out}", "--licence", "a", "--licence", "b"), "for 1 files"),
        (("train", "--data", "{data}", "--out", "{out}", "--noise", "2"), "noise lies between"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_spent(
    arguments: tuple[str, ...], error: str, data: Path, tmp_path: Path
) -> None:
    result = said(*(argument.format(data=data, out=tmp_path / "out") for argument in arguments))
    assert isinstance(result.exception, ConfigError), result.output
    assert error in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_no_heavy_library_is_loaded_for_help() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from coterie.cli import train_fuser, eval_fuser; "
        "print([name for name in ('torch', 'transformers', 'numpy', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
