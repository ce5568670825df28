"""Recorded runs with feedback: a rating is one known score, a preference is a battle, and what says nothing counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_outcomes
from coterie import Committee, ScriptedMember
from coterie.errors import ConfigError, TraceError
from coterie.fusers.aggregate import Aggregate
from coterie.judges.length import Length
from coterie.methods.best_of import BestOf
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.methods.route import Route
from coterie.outcomes.reading import Read, read
from coterie.protocols import Method
from coterie.trace import Trace
from coterie.types import Message, Price
from told_router import Told

NAMES = ("ann", "bob")
PRICE = Price(1.0, 2.0)

METHODS: Mapping[str, Method] = {
    "default": Route(Told({"bob": 1.0, "ann": 0.5}), NAMES),
    "all": BestOf(NAMES, Length(), "mean"),
    "fused": RankAndFuse(NAMES, Length(), "mean", 2, Aggregate("ann")),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Traces, by the method."""
    folder = tmp_path_factory.mktemp("traces")
    pool = [ScriptedMember("ann", ("short",), price=PRICE), ScriptedMember("bob", ("a long answer",))]
    asked: dict[str, Any] = {
        "default": "First?",
        "all": [Message("user", "Before"), Message("user", "Second?")],
        "fused": "Third?",
    }
    with Committee(pool, METHODS) as committee:
        for method, question in asked.items():
            committee.ask(question, method).trace.save(folder / f"{method}.jsonl")
        picture = Message("user", ({"type": "image_url", "image_url": {"url": "data:,"}},))
        committee.ask([Message("assistant", "Show me."), picture]).trace.save(folder / "silent.jsonl")
    return {file.stem: file for file in folder.iterdir()}


def run_of(file: Path) -> str:
    return Trace.load(file).started.run


def told(tmp_path: Path, runs: Mapping[str, Path], *said: dict[str, Any]) -> Read:
    """What is read of all traces with this feedback; `of` names a run."""
    lines = [{"run": run_of(runs[one["of"]]), **{k: v for k, v in one.items() if k != "of"}} for one in said]
    feedback = tiny_outcomes.written(tmp_path / "feedback.jsonl", lines)
    return read([str(file) for file in runs.values()], [feedback])


def test_a_rating_is_the_score_of_who_answered(runs: Mapping[str, Path], tmp_path: Path) -> None:
    found = told(tmp_path, runs, {"of": "default", "rating": 0.75}, {"of": "all", "rating": 1, "at": 3.5})
    outcomes = found.lessons.outcomes
    assert outcomes is not None
    scores = {
        prompt: dict(zip(outcomes.members, row, strict=True))
        for prompt, row in zip(outcomes.prompts, outcomes.scores.tolist(), strict=True)
    }
    assert set(scores) == {"First?", "Second?"}
    assert scores["First?"]["bob"] == 0.75
    assert scores["Second?"]["bob"] == 1.0
    assert np.isnan([scores[prompt]["ann"] for prompt in scores]).all()
    row = outcomes.prompts.index("Second?")
    spent = dict(zip(outcomes.members, outcomes.costs_usd[row].tolist(), strict=True))
    wrote = dict(zip(outcomes.members, outcomes.output_tokens[row].tolist(), strict=True))
    assert spent["ann"] > 0
    assert np.isnan(spent["bob"])
    assert wrote["bob"] > wrote["ann"] > 0
    assert outcomes.places[row] == str(runs["all"])
    assert found.left_out == {"runs that no feedback speaks of": 2}


def test_a_preference_is_a_battle(runs: Mapping[str, Path], tmp_path: Path) -> None:
    found = told(
        tmp_path,
        runs,
        {"of": "all", "preferred": "ann", "over": "bob"},
        {"of": "default", "preferred": "bob", "over": "ann", "tie": True},
    )
    battles = found.lessons.battles
    assert battles is not None
    assert found.lessons.outcomes is None
    told_ = {
        prompt: (battles.members[battles.first[n]], battles.members[battles.second[n]], battles.result[n])
        for n, prompt in enumerate(battles.prompts)
    }
    assert told_ == {"Second?": ("ann", "bob", 1.0), "First?": ("bob", "ann", 0.5)}


def test_what_is_said_twice_counts_once_and_what_differs_twice(runs: Mapping[str, Path], tmp_path: Path) -> None:
    found = told(tmp_path, runs, *({"of": "default", "rating": rating} for rating in (0.5, 0.5, 1.0)))
    assert found.lessons.outcomes is not None
    assert sorted(found.lessons.outcomes.scores[:, 0].tolist()) == [0.5, 1.0]


def test_what_nothing_can_be_learned_from_is_counted(runs: Mapping[str, Path], tmp_path: Path) -> None:
    found = told(
        tmp_path,
        runs,
        {"of": "fused", "rating": 1.0},
        {"of": "silent", "rating": 1.0},
        {"of": "all", "rating": 0.0},
        {"of": "all", "run": "nobody", "rating": 0.0},
    )
    assert found.lessons.outcomes is not None
    assert found.lessons.outcomes.prompts == ("Second?",)
    assert found.left_out == {
        "ratings of an answer that no one member wrote": 1,
        "runs without a question in words": 1,
        "runs that no feedback speaks of": 1,
        "pieces of feedback on runs that no trace is of": 1,
    }


def test_nothing_said_is_nothing_to_learn_from(runs: Mapping[str, Path]) -> None:
    with pytest.raises(ConfigError, match="nothing to learn from in these files; 4 runs that no feedback speaks of"):
        read([str(file) for file in runs.values()])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"run": "r", "rating": 2}, "a rating lies between 0 and 1, not at 2"),
        ({"run": "r", "rating": True}, "the rating is True: write 1"),
        ({"run": "r", "rating": "good"}, "the rating is a number, not 'good'"),
        ({"run": "r"}, "gives a rating, a correction, or says which of two"),
        ({"run": "r", "preferred": "ann"}, "a preference names two members"),
        ({"run": "r", "preferred": "ann", "over": "ann"}, "cannot be preferred to itself"),
        ({"run": "r", "preferred": 3, "over": "ann"}, "'preferred' is a member's name, not 3"),
        ({"run": "r", "preferred": "ann", "over": "bob", "tie": 1}, "'tie' is true or false, not 1"),
        ({"run": "", "rating": 1}, "'run' is the id of an answer, not ''"),
        ([], "a record is a mapping"),
    ],
)
def test_wrong_feedback_is_refused_and_named(line: Any, says: str, runs: Mapping[str, Path], tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps({"run": "r", "rating": 1}) + "\n" + json.dumps(line), encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        read([str(runs["all"])], [str(tmp_path / "f.jsonl")])
    assert f"{tmp_path / 'f.jsonl'}:2" in str(caught.value)


def test_a_preference_between_strangers_is_refused(runs: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"feedback.jsonl:1: 'eve' is no member of the run in .*, but ann, bob"):
        told(tmp_path, runs, {"of": "all", "preferred": "eve", "over": "bob"})


def test_feedback_without_traces_and_a_spoiled_trace(runs: Mapping[str, Path], tmp_path: Path) -> None:
    feedback = tiny_outcomes.written(tmp_path / "f.jsonl", [{"run": "r", "rating": 1}])
    outcomes = tiny_outcomes.written(tmp_path / "o.jsonl", tiny_outcomes.records(4))
    with pytest.raises(ConfigError, match="name their traces among the data"):
        read([outcomes], [feedback])
    text = runs["all"].read_text(encoding="utf-8").replace('"candidate_offered"', '"nonsense"', 1)
    (tmp_path / "t.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=r"t.jsonl:\d+"):
        read([str(tmp_path / "t.jsonl")], [feedback])
