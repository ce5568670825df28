"""``coterie train router`` as people use it: every kind from the command line, and what is refused there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tiny_outcomes
from coterie import Committee, ScriptedMember
from coterie.cli import train_router
from coterie.cli.app import app
from coterie.errors import ConfigError, MissingExtra
from coterie.judges.length import Length
from coterie.methods.best_of import BestOf
from coterie.routers.artifact import opened
from coterie.training.routing.kinds import RECIPES
from coterie.types import Price

pytest.importorskip("scipy", reason="the baselines are fitted with SciPy")


@pytest.fixture(autouse=True)
def _vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_VECTORS", str(tmp_path / "vectors"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_outcomes.written(tmp_path_factory.mktemp("data") / "o.jsonl", tiny_outcomes.records(60))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tiny_outcomes.table(tmp_path_factory.mktemp("encoder"))
    return f"{{kind: static, model: {folder}}}"


def typed(settings: dict[str, Any]) -> list[str]:
    """Settings as they are typed."""
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def trained(kind: str, *more: str) -> Any:
    return CliRunner().invoke(app, ["train", "router", kind, *more], catch_exceptions=False)


@pytest.mark.filterwarnings("ignore:r_trans")
@pytest.mark.parametrize("kind", RECIPES)
def test_every_kind_is_trained_and_opened(kind: str, data: str, encoder: str, tmp_path: Path) -> None:
    if kind in tiny_outcomes.TEXT_KINDS:
        pytest.importorskip("accelerate", reason="this kind is trained with the extra train")
    (tmp_path / "base").mkdir()
    settings = typed(tiny_outcomes.settings(kind, tmp_path / "base"))
    call = ["--data", data, "--out", str(tmp_path / "router"), "--encoder", encoder, "--held-out", "0.3"]
    done = trained(kind, *call, *settings, "--json")
    assert done.exit_code == 0, done.stderr
    card = json.loads(done.stdout)
    assert card == json.loads((tmp_path / "router" / "card.json").read_text(encoding="utf-8"))
    assert card["kind"] == kind
    assert card["measurements"]["comparison"]["headline"] == "apgr"
    assert opened(tmp_path / "router").fitted.kind == kind


def test_a_process_says_how_far_it_is_and_what_came_of_it(data: str, tmp_path: Path) -> None:
    call = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "train", "router", "bag_of_words"]
    out = tmp_path / "router"
    more = ["--data", data, "--out", str(out), "--price", "large=1,2", "--licence", "made up", "--held-out", "0.3"]
    done = subprocess.run([*call, *more], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "bag_of_words  router" in done.stdout
    assert "oracle        oracle" in done.stdout
    assert f"written to {out}" in done.stdout
    again = subprocess.run([*call, *more], capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 2
    assert again.stderr == f"coterie: {str(out)!r} is there already, and not empty\n"


def test_traces_with_feedback_train_a_router(encoder: str, tmp_path: Path) -> None:
    pool = [ScriptedMember(name, (f"{name} says so",)) for name in ("ann", "bob")]
    (tmp_path / "traces").mkdir()
    lines = []
    with Committee(pool, {"default": BestOf(("ann", "bob"), Length(), "mean")}) as committee:
        for n in range(30):
            answer = committee.ask(f"{'z' if n % 2 else 'a'} question {n}", "default")
            answer.trace.save(tmp_path / "traces" / f"{n}.jsonl")
            better, worse = ("ann", "bob") if n % 2 else ("bob", "ann")
            lines.append({"run": answer.id, "preferred": better, "over": worse})
    feedback = tiny_outcomes.written(tmp_path / "feedback.jsonl", lines)
    call = ["--data", str(tmp_path / "traces"), "--feedback", feedback, "--out", str(tmp_path / "router")]
    done = trained("eagle", *call, "--encoder", encoder, "--held-out", "0.3", "--neighbours", "5")
    assert done.exit_code == 0, done.stderr
    assert "battles told rightly: " in done.stdout
    assert set(opened(tmp_path / "router").members) == {"ann", "bob"}


def test_help_names_every_kind_and_its_settings_without_loading_what_is_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom coterie.cli.app import app\n"
        "for call in (['--help'], ['train', '--help'], ['train', 'router', 'length', '--help']):\n"
        "    said = CliRunner().invoke(app, call).stdout\n"
        "print(sorted({'numpy', 'scipy', 'torch', 'transformers'} & set(sys.modules)), '--penalty' in said)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[] True\n", done.stderr
    listed = CliRunner().invoke(app, ["train", "router", "--help"], env={**os.environ, "COLUMNS": "200"}).stdout
    assert all(f"  {kind} " in listed for kind in RECIPES)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--price", "large"], "--price is MEMBER=IN,OUT"),
        (["--price", "large=1"], "--price is MEMBER=IN,OUT"),
        (["--price", "large=1,-2"], "--price is MEMBER=IN,OUT"),
        (["--price", "large=1,nan"], "--price is MEMBER=IN,OUT"),
        (["--price", "=1,2"], "--price is MEMBER=IN,OUT"),
        (["--price", "huge=1,2"], "a price is given for 'huge'"),
        (["--members", "huge", "--member", "large"], r"nothing is known of \['huge'\]"),
        (["--held-out", "1"], "held_out is a share between 0 and 1"),
        (["--source-split", "test"], "cannot be split by 'test'"),
        (["--licence", "a", "--licence", "b"], "there are 2 licences for 1 files"),
        (["--penalty", "0"], "penalty is above 0"),
    ],
)
def test_what_cannot_be_is_refused(more: list[str], says: str, data: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        trained("length", "--data", data, "--out", str(tmp_path / "router"), *more)
    assert not (tmp_path / "router").exists()


def test_an_encoder_that_is_none_is_refused(data: str, tmp_path: Path) -> None:
    for encoder in ("minilmm", "{kind: static, modell: x}", "{model: x}"):
        with pytest.raises(ConfigError, match="encoder"):
            trained("knn", "--data", data, "--out", str(tmp_path / "router"), "--encoder", encoder)


def test_a_kind_that_is_none_is_refused() -> None:
    done = trained("nothing")
    assert done.exit_code == 2
    assert "No such command 'nothing'" in done.stderr


def test_prices_are_read() -> None:
    assert train_router.prices_of(["a=b=0,1.5"]) == {"a=b": Price(0.0, 1.5)}


def test_a_kind_whose_package_is_missing_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train_router.command_of.cache_clear()
    monkeypatch.setitem(sys.modules, "coterie.routers.length", None)
    try:
        with pytest.raises(MissingExtra, match=r"the kind 'length' needs 'coterie.routers.length'"):
            trained("length")
        assert "length" in trained("--help").stdout
    finally:
        train_router.command_of.cache_clear()
