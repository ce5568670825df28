"""``coterie eval convqa`` and ``coterie eval ablate`` as people use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="intervals need numpy")

COQA = {
    "version": "1.0",
    "data": [
        {
            "id": f"story-{n}",
            "source": "wikipedia",
            "story": "Ann Lee wrote the book in Oslo. It came out in 1901.",
            "questions": [{"input_text": "Who wrote it?", "turn_id": 1}, {"input_text": "When?", "turn_id": 2}],
            "answers": [
                {"input_text": "Ann Lee", "span_text": "Ann Lee wrote the book", "turn_id": 1},
                {"input_text": "1901", "span_text": "in 1901", "turn_id": 2},
            ],
        }
        for n in range(2)
    ],
}

CONFIG = {
    "members": {
        "ann": {"engine": "scripted", "replies": ["Ann Lee"]},
        "bob": {"engine": "scripted", "replies": ["1901"]},
        "cat": {"engine": "scripted", "replies": ["nobody knows"]},
    },
    "methods": {
        "peers": {"kind": "peer_blend", "members": ["ann", "bob", "cat"], "top_k": 2},
        "longest": {"kind": "best_of", "members": ["ann", "bob"], "judge": "length", "rule": "mean"},
    },
}


@dataclass(frozen=True)
class Said:
    status: int
    stdout: str
    stderr: str


def coterie(folder: Path, *arguments: str) -> Said:
    env = {key: value for key, value in os.environ.items() if not key.startswith("COTERIE_")}
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "eval", *arguments]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=env, timeout=120, check=False)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "coqa.json").write_text(json.dumps(COQA))
    (tmp_path / "committee.json").write_text(json.dumps(CONFIG))
    return tmp_path


def convqa(folder: Path, *more: str) -> Said:
    return coterie(folder, "convqa", "coqa.json", "--config", "committee.json", "--out", "run", *more)


def test_it_writes_the_report_and_says_what_it_found(folder: Path) -> None:
    said = convqa(folder, "--metric", "f1", "--metric", "exact_match", "--method", "longest")
    assert said.status == 0, said.stderr
    assert "3 single members" in said.stdout
    assert "cannot" in said.stdout or "No method" in said.stdout
    assert said.stdout.splitlines()[-1] == f"the report: {Path('run', 'report.html')}"
    page = (folder / "run" / "report.html").read_text()
    for told in ("Peer-Blending", "alternate ranking", "longest", "oracle", "token F1"):
        assert told in page
    assert {path.suffix for path in (folder / "run" / "tables").iterdir()} == {".md", ".csv"}
    assert any((folder / "run" / "figures").iterdir())


def test_it_goes_on_with_what_there_is_and_refuses_another_run(folder: Path) -> None:
    assert convqa(folder, "--policy", "full_ranking").status == 0
    rows = (folder / "run" / "rows.jsonl").read_bytes()
    again = convqa(folder, "--policy", "full_ranking")
    assert again.status == 0, again.stderr
    assert (folder / "run" / "rows.jsonl").read_bytes() == rows
    other = convqa(folder, "--policy", "full_ranking", "--seed", "7")
    assert other.status == 2
    assert "holds another run" in other.stderr


def test_a_metric_without_weights_is_left_out_and_said(folder: Path) -> None:
    said = convqa(folder, "--metric", "f1", "--metric", "{name: alignscore, model: no/such/folder}")
    assert said.status == 0, said.stderr
    assert "alignscore is left out" in said.stderr


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--history", "none"), "--history is gold or own"),
        (("--policy", "sometimes"), "'sometimes' is none of the policies"),
        (("--metric", "vibes"), "'vibes' is none of the metrics"),
        (("--method", "nobody"), "'nobody'"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anybody_is_asked(folder: Path, more: tuple[str, ...], why: str) -> None:
    said = convqa(folder, *more)
    assert said.status == 2
    assert why in said.stderr
    assert not (folder / "run" / "rows.jsonl").exists()


def test_an_ablation_asks_nobody(folder: Path) -> None:
    assert convqa(folder).status == 0
    before = (folder / "run" / "recordings.jsonl").read_bytes()
    said = coterie(
        folder, "ablate", "coqa.json", "--config", "committee.json", "--recordings", "run/recordings.jsonl",
        "--out", "varied", "--n", "2", "--n", "3", "--judge", "length", "--judge", "random", "--by-domain",
        "--policy", "full_ranking", "--policy", "alternate_ranking",
    )  # fmt: skip
    assert said.status == 0, said.stderr
    assert (folder / "run" / "recordings.jsonl").read_bytes() == before
    page = (folder / "varied" / "report.html").read_text()
    assert "coqa: wikipedia" in page
    assert "random" in page
