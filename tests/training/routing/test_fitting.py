"""Training a router from files: what is learned, what is measured beside what, and what the card says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_outcomes
from coterie.encoders.static import Static
from coterie.errors import ConfigError
from coterie.outcomes.reading import read
from coterie.outcomes.split import held_out
from coterie.routers.artifact import opened
from coterie.routers.forecast import Queries
from coterie.routers.knn_rules import KnnRules
from coterie.routers.length import LengthRecipe
from coterie.training.corpus import Data, files
from coterie.training.routing.eagle import EagleRecipe
from coterie.training.routing.fitting import RouterData, RouterTask, gathered, train
from coterie.training.routing.knn import KnnRecipe
from coterie.training.routing.seen import seen
from coterie.types import Price

pytest.importorskip("scipy", reason="the baselines are fitted with SciPy")


@pytest.fixture(autouse=True)
def _vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_VECTORS", str(tmp_path / "vectors"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Static:
    return Static(tiny_outcomes.table(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_outcomes.written(tmp_path_factory.mktemp("data") / "o.jsonl", tiny_outcomes.records(200))


def of(*names: str, dev: str | None = None, **more: Any) -> RouterData:
    return RouterData(Data(files(names, ("made up",)), dev, 0.3), **more)


def knn() -> KnnRecipe:
    return KnnRecipe(k=5)


def test_a_router_from_a_file_to_a_card(data: str, encoder: Static, tmp_path: Path) -> None:
    out = tmp_path / "router"
    told: set[str] = set()
    task = RouterTask(knn(), of(data), out, encoder, {"large": Price(1.0, 2.0)})
    card = train(task, lambda what, done, total: told.add(what))
    assert card == json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert {"reading o.jsonl", "encoding", "prompts", "measuring"} <= told
    assert card["kind"] == "knn"
    assert card["members"] == ["small", "large"]
    assert card["encoder"]["identity"] == encoder.identity
    assert card["encoder"]["part"]["model"] == Path(encoder.model).name
    assert card["settings"] == {"k": 5, "weighting": KnnRules().weighting}
    assert card["prices"] == {"large": {"input_usd": 1.0, "output_usd": 2.0, "cached_input_usd": None}}
    assert card["spending"]["output_tokens"] == {"small": 10.0, "large": 20.0}
    assert card["data"]["files"] == [{"name": "o.jsonl", "licence": "made up"}]
    assert card["data"]["held_out"] == {"share_of_prompts": 0.3}
    assert card["data"]["learned"]["prompts"] + card["data"]["measured"]["prompts"] == 200
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "| knn | router | 0." in page
    assert "o.jsonl: licence made up" in page
    assert str(tmp_path) not in page + (out / "card.json").read_text(encoding="utf-8")


def test_it_is_measured_beside_its_baselines_chance_and_the_oracle(data: str, encoder: Static, tmp_path: Path) -> None:
    card = train(RouterTask(knn(), of(data), tmp_path / "router", encoder))
    found = card["measurements"]["comparison"]
    assert found["pair"] == {"weak": "small", "strong": "large"}
    assert found["headline"] == "apgr"
    rows = {row["name"]: row for row in found["rows"]}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "knn": "router",
        "bag_of_words": "baseline",
        "length": "baseline",
        "random mix": "chance",
        "oracle": "oracle",
    }
    apgr = {name: row["figures"]["apgr"]["value"] for name, row in rows.items()}
    assert apgr["random mix"] == pytest.approx(0.5)
    assert apgr["length"] + 0.1 < apgr["knn"] <= apgr["oracle"]
    low, high = (rows["bag_of_words"]["figures"]["apgr"][end] for end in ("low", "high"))
    assert low < apgr["bag_of_words"] < high
    assert found["said"][0].startswith("knn reaches APGR")
    error = card["measurements"]["squared_error"]
    assert error["router"]["value"] < error["baseline"]["value"]
    assert error["gain"]["value"] == pytest.approx(error["router"]["value"] - error["baseline"]["value"])
    assert error["clear"]


def test_what_opens_forecasts_and_knows_what_it_has_learned_from(data: str, encoder: Static, tmp_path: Path) -> None:
    out = tmp_path / "router"
    train(RouterTask(knn(), of(data), out, encoder))
    artifact, known = opened(out), seen(out)
    assert known is not None
    sides = held_out(read([data]).lessons, 0.3)
    assert sides.learned.outcomes is not None
    assert sides.measured.outcomes is not None
    assert all(known.has(prompt) for prompt in sides.learned.outcomes.prompts)
    assert not any(known.has(prompt) for prompt in sides.measured.outcomes.prompts)
    said = artifact.fitted.forecast(Queries(("z", "a"), np.eye(12, dtype=np.float32)[[1, 2]])).quality
    np.testing.assert_array_equal(said[0], [0, 1])
    assert said[1, 0] > 0.5


def test_the_same_data_and_settings_make_the_same_router(data: str, encoder: Static, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(RouterTask(knn(), of(data), tmp_path / name, encoder))
    assert len({opened(tmp_path / name).digest for name in ("one", "two")}) == 1


def test_many_members_are_compared_by_quality_and_cost(tmp_path: Path) -> None:
    names = ("tiny", "small", "large")
    file = tiny_outcomes.written(tmp_path / "o.jsonl", tiny_outcomes.records(120, members=names))
    found = train(RouterTask(LengthRecipe(), of(file), tmp_path / "router"))["measurements"]["comparison"]
    assert found["pair"] is None
    assert found["headline"] == "band"
    assert {"tiny", "small", "large", "oracle", "random member"} <= {row["name"] for row in found["rows"]}
    chosen = train(RouterTask(LengthRecipe(), of(file, members=("small", "large")), tmp_path / "pair"))
    assert chosen["members"] == ["small", "large"]
    assert chosen["measurements"]["comparison"]["pair"] is not None


def test_battles_alone_are_measured_by_who_was_told_to_win(encoder: Static, tmp_path: Path) -> None:
    lines = tiny_outcomes.battles(120)
    for line in lines[::3]:
        line |= {"model_a": "large", "model_b": "small", "winner": "model_a" if line["winner"] == "model_b" else "tie"}
    file = tiny_outcomes.written(tmp_path / "b.jsonl", lines)
    card = train(RouterTask(EagleRecipe(), of(file), tmp_path / "router", encoder))
    found = card["measurements"]
    assert found["comparison"] is None
    assert found["decided_battles"] > 10
    assert found["battle_accuracy"]["router"]["value"] == 1.0
    assert found["battle_accuracy"]["baseline"]["value"] == 1.0
    assert found["battle_accuracy"]["gain"]["value"] == 0.0
    assert "decided battles told rightly" in (tmp_path / "router" / "README.md").read_text(encoding="utf-8")


def test_scores_of_some_members_only_are_measured_by_their_error(encoder: Static, tmp_path: Path) -> None:
    lines = tiny_outcomes.records(120)
    for n, line in enumerate(lines):
        del line["outcomes"]["small" if n % 3 else "large"]
    file = tiny_outcomes.written(tmp_path / "o.jsonl", lines)
    card = train(RouterTask(knn(), of(file), tmp_path / "router", encoder))
    found = card["measurements"]
    assert found["comparison"] is None
    assert "there is no prompt on which every member has a score" in found["notes"][0]
    assert found["squared_error"]["router"]["value"] < found["squared_error"]["baseline"]["value"]
    assert set(card["data"]["learned"]["unscored"]) == {"small", "large"}


def test_a_file_to_measure_on_and_the_files_own_split(data: str, tmp_path: Path) -> None:
    dev = tiny_outcomes.written(tmp_path / "dev.jsonl", tiny_outcomes.records(60, seed=9))
    card = train(RouterTask(LengthRecipe(), of(data, dev=dev), tmp_path / "one"))
    assert card["data"]["held_out"] == {"file": "dev.jsonl"}
    assert (card["data"]["learned"]["prompts"], card["data"]["measured"]["prompts"]) == (200, 60)
    lines = [{**line, "source_split": "test" if n < 50 else "x"} for n, line in enumerate(tiny_outcomes.records(200))]
    file = tiny_outcomes.written(tmp_path / "split.jsonl", lines)
    card = train(RouterTask(LengthRecipe(), of(file, source_split="test"), tmp_path / "two"))
    assert card["data"]["held_out"] == {"source_split": "test"}
    assert card["data"]["measured"]["prompts"] == 50


def test_a_prompt_on_both_sides_is_refused_and_nothing_is_left(data: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"o.jsonl:1 and .*o.jsonl:1"):
        train(RouterTask(LengthRecipe(), of(data, dev=data), tmp_path / "out" / "router"))
    assert not (tmp_path / "out").exists()


def test_one_member_one_class_and_the_wrong_kind_of_data(data: str, encoder: Static, tmp_path: Path) -> None:
    alike = tiny_outcomes.records(60)
    for line in alike:
        line["outcomes"] = {name: {"score": 1} for name in ("a", "b")}
    fights = tiny_outcomes.written(tmp_path / "b.jsonl", tiny_outcomes.battles(60))
    for task, says in (
        (of(data, members=("large",)), r"the data know but \['large'\]"),
        (of(tiny_outcomes.written(tmp_path / "alike.jsonl", alike)), "all .* known scores are 1.0"),
        (of(fights), "a router of the kind 'length' learns from outcomes, and the data hold none"),
        (of(data, members=("large", "huge")), r"nothing is known of \['huge'\]"),
        (of(tiny_outcomes.written(tmp_path / "few.jsonl", tiny_outcomes.records(1))), "there is nothing to"),
    ):
        with pytest.raises(ConfigError, match=says):
            train(RouterTask(LengthRecipe(), task, tmp_path / "router"))
        assert not (tmp_path / "router").exists()


def test_settings_that_cannot_be(data: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each member is named once"):
        of(data, members=("a", "a"))
    with pytest.raises(ConfigError, match="not both"):
        of(data, dev=data, source_split="test")
    with pytest.raises(ConfigError, match="a price is given for 'huge'"):
        train(RouterTask(LengthRecipe(), of(data), tmp_path / "router", None, {"huge": Price(1, 1)}))
    with pytest.raises(ConfigError, match="need an encoder"):
        train(RouterTask(knn(), of(data), tmp_path / "router"))


def test_a_folder_that_is_taken_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="is there already, and not empty"):
        train(RouterTask(LengthRecipe(), of("/nowhere.jsonl"), tmp_path))


def test_what_was_missing_is_on_the_card(data: str, tmp_path: Path) -> None:
    lines = tiny_outcomes.records(40, seed=4)
    for line in lines[:20]:
        del line["outcomes"]["small"]
        del line["outcomes"]["large"]["cost"]
    more = tiny_outcomes.written(tmp_path / "more.jsonl", [*lines, *lines[30:]])
    found = gathered(of(data, more))
    assert found.members == ("small", "large")
    card = train(RouterTask(LengthRecipe(), of(data, more), tmp_path / "router"))
    counts = [card["data"][side] for side in ("learned", "measured")]
    assert sum(count["unscored"].get("small", 0) for count in counts) == 20
    assert sum(count["repeated"] for count in counts) >= 10
    assert sum(count["unpriced"].get("large", 0) for count in counts) == 20


def test_a_member_may_be_called_like_a_kind(tmp_path: Path) -> None:
    lines = tiny_outcomes.records(120, members=("length", "bag_of_words", "large"))
    for line in lines[::10]:
        line["outcomes"]["large"]["score"] = None
    file = tiny_outcomes.written(tmp_path / "o.jsonl", lines)
    found = train(RouterTask(LengthRecipe(), of(file), tmp_path / "router"))["measurements"]
    names = {(row["name"], row["kind"]) for row in found["comparison"]["rows"]}
    assert {("length (router)", "router"), ("bag_of_words (router)", "baseline"), ("length", "single")} <= names
    assert "held-back prompts are not compared on" in found["notes"][0]
    assert found["squared_error"]["router"]["n"] > found["comparison"]["prompts"]
