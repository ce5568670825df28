"""``coterie eval rank`` as people and scripts use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from golden import RANKER

pytest.importorskip("numpy", reason="intervals need numpy")

PAIRS = Path(__file__).parent.parent / "data" / "preference_pairs.jsonl"
SHARED = Path(__file__).parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Said:
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def row(self, name: str) -> dict[str, Any]:
        return next(row["cells"] for row in self.json["rows"] if row["name"] == name)


def rank(folder: Path, *arguments: str | Path) -> Said:
    env = {key: value for key, value in os.environ.items() if not key.startswith("COTERIE_")}
    command = [sys.executable, "-W", "error", "-m", "coterie.cli.app", "eval", "rank", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=env, timeout=120, check=False)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def written(place: Path, records: Sequence[Any]) -> Path:
    place.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return place


def mix_instruct(n: int = 6) -> list[Any]:
    """Records in MixInstruct's form: model a is always the best, c the worst, but b writes the most."""
    texts = {"a": "good", "b": "longest of all", "c": "no"}
    return [
        {
            "id": f"x/{k}",
            "instruction": "",
            "input": f"question {k}",
            "candidates": [{"model": m, "text": f"{t} {k}", "scores": {"bleurt": k / 10}} for m, t in texts.items()],
            "cmp_results": json.dumps({"a,b": "A is better", "a,c": "A is better", "b,c": "A is better"}),
        }
        for k in range(n)
    ]


# ---- what is told -----------------------------------------------------------------------------


def test_pairs_are_told_by_group_and_in_words(tmp_path: Path) -> None:
    said = rank(tmp_path, PAIRS, "--judge", "agreement", "--judge", "again=length")
    assert said.status == 0
    assert "\x1b" not in said.stdout
    for words in (
        "what is picked",
        "accuracy % by origin",
        "llmbar_adv_neighbor",
        "agreement does not beat",
        "again does not beat the longest: accuracy +0.0 points [+0.0, +0.0], not to be told apart.",
        "90 examples, 85 prompts, seed 42",
    ):
        assert words in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 120
    assert [line.partition(" in ")[0] for line in said.stderr.splitlines()] == [
        "coterie: agreement ranks 90 examples",
        "coterie: again ranks 90 examples",
    ]


def test_mix_instruct_is_told_as_the_paper_tells_it(tmp_path: Path) -> None:
    data = written(tmp_path / "mix.jsonl", mix_instruct())
    said = rank(tmp_path, data, "--judge", "length", "--json")
    assert said.status == 0, said.stderr
    assert [column["heading"] for column in said.json["columns"]] == [
        "bleurt", "GPT-Rank", "≥ a", "≥ b", "Top-1", "Top-2", "Top-3", "pairs agreed",
        "Pearson", "Spearman", "footrule", "set-based",
    ]  # fmt: skip
    assert said.row("length")["gpt_rank"]["value"] == 2.0
    assert said.row("a")["gpt_rank"]["value"] == 1.0
    assert said.row("random")["top_1"]["value"] == pytest.approx(1 / 3)
    assert any(sentence.startswith("length does not beat the best single model") for sentence in said.json["in_words"])
    [judge] = said.json["judges"]
    assert (judge["name"], judge["spec"], judge["silent"]) == ("length", {"kind": "length"}, 0)


def test_without_a_judge_the_baselines_stand_alone(tmp_path: Path) -> None:
    said = rank(tmp_path, PAIRS)
    assert (said.status, said.stderr) == (0, "")
    assert "No judge was given, so nothing is said of any." in said.stdout


def test_a_trained_ranker_is_named_by_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the pair ranker needs the extra torch")
    said = rank(tmp_path, PAIRS, "--judge", f"tiny={RANKER}", "--limit", "12", "--json")
    assert said.status == 0, said.stderr
    assert said.json["examples"] == 12
    assert said.json["judges"][0]["spec"]["model"] == str(RANKER)
    assert 0 <= said.row("tiny")["agreement"]["value"] <= 1


def test_a_judge_may_ask_members_of_a_configuration(tmp_path: Path) -> None:
    members = {"gpt": {"engine": "scripted", "replies": ["3"]}}
    config = {"members": members, "methods": {"default": {"kind": "vote", "members": ["gpt"]}}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    judge = "{kind: comparison, members: [gpt]}"
    said = rank(tmp_path, PAIRS, "--judge", judge, "--config", "c.json", "--limit", "5", "--json")
    assert said.status == 0, said.stderr
    assert said.row("comparison")["agreement"]["value"] == 0.5  # all are equally good
    refused = rank(tmp_path, PAIRS, "--judge", judge, "--limit", "5")
    assert refused.status == 2
    assert "gpt" in refused.stderr


def test_a_silent_judge_is_told_to_be_silent(tmp_path: Path) -> None:
    said = rank(tmp_path, PAIRS, "--judge", "peer_review", "--limit", "5")
    assert said.status == 0, said.stderr
    assert "peer_review said nothing of 5 of 5 examples, where its picks count as drawn by lot" in said.stdout


# ---- which examples ---------------------------------------------------------------------------


def test_a_seed_draws_the_same_examples_and_another_does_not(tmp_path: Path) -> None:
    first, again, other = (
        rank(tmp_path, PAIRS, "--limit", "20", "--seed", seed, "--json").json for seed in ("1", "1", "2")
    )
    assert first == again
    assert first["rows"] != other["rows"]


def test_what_is_held_out_is_what_training_sets_aside(tmp_path: Path) -> None:
    from coterie.examples import held_out, read

    aside = held_out(read(str(PAIRS)), 0.3)[1]
    said = rank(tmp_path, PAIRS, "--held-out", "0.3", "--json")
    assert said.json["examples"] == len(aside)
    assert rank(tmp_path, PAIRS, "--held-out", "0").status == 2


# ---- files ------------------------------------------------------------------------------------


def test_a_folder_takes_the_table_and_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="charts need matplotlib")
    said = rank(tmp_path, PAIRS, "--judge", "agreement", "--out", "new/folder")
    assert said.status == 0, said.stderr
    folder = tmp_path / "new" / "folder"
    assert sorted(file.name for file in folder.iterdir()) == [
        "chart.png", "chart.svg", "groups-origin.png", "groups-origin.svg", "table.json", "table.md",
    ]  # fmt: skip
    page = (folder / "table.md").read_text(encoding="utf-8")
    assert page.startswith("# Rankers on preference_pairs\n")
    assert 'Judge agreement: `{"kind": "agreement"}`, rule `max_logits`' in page
    assert json.loads((folder / "table.json").read_text(encoding="utf-8"))["examples"] == 90


# ---- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.jsonl"], "'absent.jsonl' is no file"),
        ([str(PAIRS), "--judge", "lenght"], "'lenght' is no judge and no checkpoint's folder"),
        ([str(PAIRS), "--judge", "{kind: length, x: 1}"], "judge.x: there is no such setting"),
        ([str(PAIRS), "--rule", "best"], "there is no ranking rule 'best'"),
        ([str(PAIRS), "--out", "file"], "cannot write to the folder 'file'"),
        ([str(PAIRS), "--config", "absent.yaml"], "absent.yaml"),
        (["empty.jsonl"], "'empty.jsonl' holds no example"),
        (["mute.jsonl"], "neither labels nor scores"),
        ([str(PAIRS), "--against", "nobody"], "no candidate was compared with an answer of 'nobody'"),
        ([str(PAIRS), "--metric", "bleurt"], "no example has the score 'bleurt'"),
        ([str(PAIRS), "--limit", "0"], "limit"),
        ([str(PAIRS), "--held-out", "2"], "held-out"),
    ],
)
def test_a_mistake_is_a_line_and_status_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty.jsonl").write_text("")
    written(tmp_path / "mute.jsonl", [{"input": "?", "candidates": [{"text": "x"}, {"text": "y"}]}])
    answer = rank(tmp_path, *arguments)
    assert answer.status == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


DAVINCI, GPT4 = "text_davinci_003@alpaca_eval1_reference", "gpt4_1106_preview"

# ---- the data it was made for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        (
            "alpaca_eval",
            [f"wins vs {DAVINCI}", f"wins vs {GPT4}", "pairs agreed"],
        ),
        ("rmb_best_of_n", ["best of N", "pairs agreed"]),
        ("preference_pairs", ["accuracy"]),
    ],
)
def test_real_data_fill_the_columns_that_mean_something(tmp_path: Path, name: str, headings: list[str]) -> None:
    data = SHARED / f"{name}.dev.jsonl.gz"
    if not data.is_file():
        pytest.skip("its licence does not let the project carry this data")
    said = rank(tmp_path, data, "--limit", "60", "--json")
    assert said.status == 0, said.stderr
    assert [column["heading"] for column in said.json["columns"]] == headings
    for row in said.json["rows"]:
        for cell in row["cells"].values():
            assert 0 <= (cell["low"] or 0) <= cell["value"] <= (cell["high"] or 1) <= 1
    if name == "alpaca_eval":
        assert said.row(GPT4)[f"wins:{GPT4}"]["value"] == 0.5
        assert f"wins:{GPT4}" not in said.row("gpt4")  # which nobody compared with it
