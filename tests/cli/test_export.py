"""``coterie export`` as people and scripts use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coterie.judges.pair_ranker import PairRankerWeights
from coterie.judges.pair_ranker.encoding import Pair
from golden import FOLDER, RANKER, golden

pytest.importorskip("torch", reason="exporting a ranker needs the extra torch")
pytest.importorskip("onnx", reason="exporting a ranker needs the extra train")


def export(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "export", "pair-ranker", *arguments]
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=own)


def test_it_writes_a_ranker_that_says_the_same_and_says_so(tmp_path: Path) -> None:
    done = export(str(RANKER), "--out", str(tmp_path / "made"))
    assert done.returncode == 0, done.stderr
    first, heading, row = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'made'}: 1.5 MB")
    assert heading.split()[:2] == ["weights", "pairs"]
    assert row.split()[0] == "float32"
    assert row.endswith("100.0%")
    found = golden()
    engine = PairRankerWeights(str(tmp_path / "made"), threads=1).load()
    ((left, right),) = engine.score([Pair(found.inputs[0], *found.candidates[0][:2])])
    engine.close()
    assert left - right == pytest.approx(found.logits[0][0][1], abs=1e-6)


def test_eight_bits_are_compared_with_float32_on_the_texts_one_names(tmp_path: Path) -> None:
    texts = [{"text": text} for text in ("yes, it is", "no", "perhaps so")]
    record = {"instruction": "Is water wet?", "input": "", "candidates": texts}
    (tmp_path / "texts.jsonl").write_text(json.dumps(record), encoding="utf-8")
    made = tmp_path / "made"
    done = export(str(RANKER), "--out", str(made), "--int8", "--examples", str(tmp_path / "texts.jsonl"), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["folder"] == str(made)
    assert said["bytes"] == (made / "model.onnx").stat().st_size
    agreement = said["agreement"]
    assert list(agreement) == ["float32", "int8"]
    assert [agreed["pairs"] for agreed in agreement.values()] == [6, 6]
    assert agreement["float32"]["furthest"] < 1e-6 < agreement["int8"]["furthest"]


def test_a_folder_in_use_and_no_ranker_are_said_in_one_line(tmp_path: Path) -> None:
    used = export(str(RANKER), "--out", str(FOLDER))
    assert (used.returncode, used.stdout) == (2, "")
    assert used.stderr == f"coterie: {str(FOLDER)!r} is not empty: name a new folder to export to\n"
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    none = export(str(tmp_path), "--out", str(tmp_path / "made"))
    assert none.returncode == 2
    assert none.stderr.count("\n") == 1
    assert "neither model_name nor model_type" in none.stderr
    assert not (tmp_path / "made").exists()


def test_texts_without_a_pair_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    record = {"instruction": "Is water wet?", "candidates": [{"text": "alone"}]}
    (tmp_path / "texts.jsonl").write_text(json.dumps(record), encoding="utf-8")
    done = export(str(RANKER), "--out", str(tmp_path / "made"), "--examples", str(tmp_path / "texts.jsonl"))
    assert done.returncode == 2
    assert "no two candidates" in done.stderr
    assert not (tmp_path / "made").exists()
