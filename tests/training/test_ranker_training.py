"""Training from files to a folder that a judge opens: it learns, stops, goes on, and says what it did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="training needs the extra train")
pytest.importorskip("accelerate", reason="training needs the extra train")

import learnable  # noqa: E402
from coterie.errors import ConfigError  # noqa: E402
from coterie.judges.keeping import Keep  # noqa: E402
from coterie.judges.pair_ranker import PairRankerWeights  # noqa: E402
from coterie.judges.pair_ranker.encoding import Pair  # noqa: E402
from coterie.judges.pointwise.encoding import Answer  # noqa: E402
from coterie.judges.pointwise.judge import Pointwise, SimCLS, SummaReranker  # noqa: E402
from coterie.training import ranking  # noqa: E402
from coterie.training.corpus import Data, DataFile  # noqa: E402
from coterie.training.heldout import HeldOut, judged  # noqa: E402
from coterie.training.losses import Target, summareranker  # noqa: E402
from coterie.training.preparing import Prepared  # noqa: E402
from coterie.training.ranking import Task, train  # noqa: E402
from coterie.training.settings import (  # noqa: E402
    AnyTraining,
    Kind,
    PairRankerTraining,
    PointwiseKind,
    PointwiseRankerTraining,
)
from coterie.training.trainer import save_weights  # noqa: E402
from coterie.training.watching import Unwatched  # noqa: E402

pytestmark = pytest.mark.usefixtures("quick")

Card = Any

SHORT = {"epochs": 1, "batch": 20}

FILES = {"README.md", "base", "card.json", "config.json", "history.json", "model.safetensors", "tokenizer.json"}


class Watching(Unwatched):
    """Remembers what it is told, and stops after an update if it should."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []
        self.losses: dict[int, float] = {}
        self.measurements: dict[int, Mapping[str, float]] = {}
        self._stop_after = stop_after

    def say(self, line: str) -> None:
        self.lines.append(line)

    def stepped(self, step: int) -> None:
        self.steps.append(step)

    def learned(self, step: int, loss: float) -> None:
        self.losses[step] = loss

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:
        self.measurements[step] = dict(measurements)

    def stopping(self) -> bool:
        return self._stop_after is not None and self.steps[-1] >= self._stop_after


def pair_settings(base: str, **changed: Any) -> PairRankerTraining:
    return PairRankerTraining(base=base, **{**learnable.TINY, **changed})


def task(settings: AnyTraining, file: str, out: Path, *, resume: bool = False) -> Task:
    return Task(settings, Data((DataFile(file, "made up"),)), out, resume)


def trained(settings: AnyTraining, file: str, out: Path) -> Card:
    card = train(task(settings, file, out))
    assert card is not None
    return card


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def furthest(a: dict[str, Any], b: dict[str, Any]) -> float:
    assert set(a) == set(b)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


# ---- it learns ----------------------------------------------------------------------------------


def test_what_was_trained_is_what_the_judge_opens(encoder: str, pairs: str, tmp_path: Path) -> None:
    """For every kind: learned, better than every baseline, and to 1e-5 the same through the judge's own path."""
    names: tuple[PointwiseKind, ...] = ("pointwise", "summareranker")
    kinds: list[AnyTraining] = [
        pair_settings(encoder),
        *(PointwiseRankerTraining(base=encoder, kind=kind, **learnable.TINY) for kind in names),
    ]
    for settings in kinds:
        _learned_and_reloaded(settings, pairs, tmp_path / settings.kind)


def test_simcls_learns_from_lists_and_references(encoder: str, tmp_path: Path) -> None:
    file = learnable.written(tmp_path / "lists.jsonl", learnable.lists(60))
    settings = PointwiseRankerTraining(
        base=encoder, kind="simcls", sampling_ratio=1.0, metrics=("goods",), **learnable.TINY
    )
    _learned_and_reloaded(settings, file, tmp_path / "simcls")


def reopened(settings: AnyTraining, out: Path, dev: list[Prepared]) -> list[Any]:
    """The margins by the judge's own path; of SummaReranker before it turns logits into chances."""
    if settings.kind != "summareranker":
        return list(judged(settings.kind, out, dev, device="cpu"))
    engine = SummaReranker(str(out), device="cpu").load()
    logits = [[of for (of,) in engine.score([Answer(p.example.source, text) for text in p.texts])] for p in dev]
    engine.close()
    return [[[a - b for b in of] for a in of] for of in logits]


def _learned_and_reloaded(settings: AnyTraining, file: str, out: Path) -> None:
    job = task(settings, file, out)
    trainer, both = ranking.set_up(job, Unwatched())
    assert trainer.go()
    before = HeldOut(both.dev, trainer.parts.kind, len(settings.metrics)).margins(trainer.network.eval())
    save_weights(trainer.network, out)
    after = reopened(settings, out, both.dev)
    assert len(before) == len(after) == len(both.dev)
    for there, here in zip(before, after, strict=True):
        difference = (torch.tensor(there) - torch.tensor(here)).abs().max()
        assert difference < 1e-5 * max(1, torch.tensor(there).abs().max()), settings.kind
    found = trainer.parts.measure(trainer.network)
    assert found["pairwise_accuracy"] > 0.85, settings.kind


def test_the_folder_holds_everything_and_the_card_says_it(encoder: str, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "ranker"
    watch = Watching()
    card: Card = train(task(pair_settings(encoder, epochs=2, evaluations=2), pairs, out), watch)
    assert {place.name for place in out.iterdir()} == FILES
    assert json.loads((out / "card.json").read_text(encoding="utf-8")) == card
    everything = card["measurements"]["all"]
    assert set(everything) == {"ranker", "longer", "constant", "chance"}
    assert everything["chance"]["pairwise_accuracy"] == 0.5
    assert everything["ranker"]["pairwise_accuracy"] > everything["constant"]["pairwise_accuracy"] + 0.2
    assert set(card["measurements"]["by_origin"]) == {"even", "odd"}
    assert (
        sum(of["ranker"]["pairs"] for of in card["measurements"]["by_origin"].values()) == everything["ranker"]["pairs"]
    )
    assert card["data"]["files"] == [{"name": "pairs.jsonl", "licence": "made up"}]
    assert sum(row["learned"] + row["measured"] for row in card["data"]["examples"]) == 160
    assert card["settings"]["learning_rate"] == learnable.TINY["learning_rate"]
    assert card["versions"]["torch"] == metadata.version("torch")
    assert card["course"]["steps"] == max(watch.steps)
    assert 0 < card["course"]["padding"] < 0.3
    history = json.loads((out / "history.json").read_text(encoding="utf-8"))
    assert len(history["measurements"]["pairwise_accuracy"]) == len(watch.measurements) == 4
    assert history["losses"][0][1] == pytest.approx(0.69, abs=0.2)
    assert history["losses"][-1][1] < history["losses"][0][1]
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert f"| all | {everything['ranker']['pairs']} |" in readme
    assert "licence made up" in readme
    assert str(tmp_path.parent) not in readme
    assert any("examples to learn from" in line for line in watch.lines)
    assert any("was not drawn" in line for line in watch.lines)


def test_the_best_measured_network_is_kept(encoder: str, tmp_path: Path) -> None:
    watch = Watching()
    pairs = learnable.written(tmp_path / "pairs.jsonl", learnable.pairs(80))
    card: Card = train(task(pair_settings(encoder, epochs=4, learning_rate=2e-2), pairs, tmp_path / "out"), watch)
    best = max(found["pairwise_accuracy"] for found in watch.measurements.values())
    kept = watch.measurements[card["course"]["best_step"]]["pairwise_accuracy"]
    assert kept == best == pytest.approx(card["measurements"]["all"]["ranker"]["pairwise_accuracy"])


def test_two_tasks_with_scores_missing_here_and_there(encoder: str, tmp_path: Path) -> None:
    records = learnable.lists(60)
    del records[0]["candidates"][0]["scores"]["half"]
    records[1]["candidates"][2]["scores"] = None
    file = learnable.written(tmp_path / "lists.jsonl", records)
    settings = pair_settings(
        encoder, metrics=("goods", "half"), loss="MSE", sampling="top_bottom", num_pos=2, num_neg=2
    )
    card = trained(settings, file, tmp_path / "out")
    assert card["data"]["left_out"]["candidates without labels"] == 2
    assert json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))["n_tasks"] == 2
    engine = PairRankerWeights(str(tmp_path / "out"), device="cpu").load()
    left, right = engine.score([Pair("which?", "good good cat", "cat")])[0]
    engine.close()
    assert left != right


def test_what_is_measured_while_training_can_tell_rankers_apart(encoder: str, tmp_path: Path) -> None:
    """Of two metrics that take back what the other gives, no example's mean says which candidate is better."""
    records = learnable.lists(60)
    for record in records[::2]:
        for place, candidate in enumerate(record["candidates"]):
            candidate["scores"] = {"goods": float(place), "half": -float(place)}
    file = learnable.written(tmp_path / "lists.jsonl", records)
    settings = pair_settings(encoder, **SHORT, metrics=("goods", "half"), loss="MSE", dev_examples=1)
    for seed in range(3):
        job = task(replace(settings, seed=seed), file, tmp_path / str(seed))
        trainer, both = ranking.set_up(job, Unwatched())
        assert 0 < len(both.measurable) < len(both.dev)
        assert "pairwise_accuracy" in trainer.measurements()


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "adafactor", "learning_rate": 1e-2, "precision": "bfloat16", "clip_norm": 1.0},
        {"loss": "BCE", "label_smoothing": 0.1, "balance": ("origin", "length"), "accumulate": 1},
        {"length_penalty": 1.0, "keep": "end", "leave_out": ("odd",), "dev_examples": 5},
        {"metric": "chosen_quality", "sampling": "random", "loss": "open_instruct_BCE", "num_neg": 2},
    ],
    ids="-".join,
)
def test_every_other_setting_trains_too(encoder: str, pairs: str, tmp_path: Path, changed: dict[str, Any]) -> None:
    watch = Watching()
    card: Card = train(task(pair_settings(encoder, **{**SHORT, **changed}), pairs, tmp_path / "out"), watch)
    assert card["course"]["steps"] > 0
    assert all(0 <= loss < 5 for loss in watch.losses.values())


def test_how_an_update_is_cut_into_batches_does_not_matter(encoder: str, pairs: str, tmp_path: Path) -> None:
    """What is learned from is the mean over an update, the last and shorter one's too."""
    cuts = ({"batch": 20, "accumulate": 2}, {"batch": 8, "accumulate": 5})
    found = []
    for n, cut in enumerate(cuts):
        watch = Watching()
        settings = pair_settings(encoder, drop_out=0.0, epochs=1, learning_rate=1e-12, **cut)
        trainer, both = ranking.set_up(task(settings, pairs, tmp_path / str(n)), watch)
        assert trainer.go()
        assert len(both.train) % 40
        found.append([watch.losses[step] for step in watch.steps])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert len(set(found[0])) == len(found[0]) > 3


def test_summareranker_learns_to_use_its_experts_evenly_too(encoder: str, pairs: str, tmp_path: Path) -> None:
    settings = PointwiseRankerTraining(base=encoder, kind="summareranker", **{**learnable.TINY, "drop_out": 0.0})
    trainer, _ = ranking.set_up(task(settings, pairs, tmp_path / "out"), Unwatched())
    batch = next(iter(trainer.get_train_dataloader()))
    network: Any = trainer.network.train()
    torch.manual_seed(0)
    loss, scores = trainer.compute_loss(network, batch, return_outputs=True)
    plain = (summareranker(scores, Target(batch["quality"], batch["present"])) * batch["weight"]).sum()
    assert network.auxiliary_loss.item() > 0
    assert loss.item() == pytest.approx(plain.item() + network.auxiliary_loss.item())


@pytest.mark.parametrize("kind", ["pairranker", "pointwise", "simcls", "summareranker"])
def test_the_judge_keeps_the_end_that_training_kept(encoder: str, tmp_path: Path, kind: Kind) -> None:
    shape: dict[str, Any] = {**learnable.TINY, **SHORT, "keep": "end", "source_tokens": 8, "candidate_tokens": 8}
    settings: AnyTraining = (
        PairRankerTraining(base=encoder, **shape)
        if kind == "pairranker"
        else PointwiseRankerTraining(base=encoder, kind=kind, **shape)
    )
    out = tmp_path / "ranker"
    card = trained(settings, learnable.written(tmp_path / "pairs.jsonl", learnable.pairs(40)), out)
    assert card["settings"]["keep"] == "end"
    assert "keep:" not in (out / "README.md").read_text(encoding="utf-8")  # nobody has to tell the judge
    long = "cat sat on a mat and " * 10
    left_out, end, start = (
        opened_scores(kind, out, keep, long, [f"{long} good", long]) for keep in (None, "end", "start")
    )
    assert left_out == end != start
    assert start[0] == start[1]  # of texts that begin alike
    assert end[0] != end[1]


def opened_scores(kind: Kind, out: Path, keep: Keep | None, source: str, texts: list[str]) -> list[Any]:
    """What the judge that opens the folder says of each text, beside nothing where it reads two."""
    if kind == "pairranker":
        engine = PairRankerWeights(str(out), device="cpu", keep=keep).load()
        found: list[Any] = list(engine.score([Pair(source, text, "") for text in texts]))
        engine.close()
        return found
    judge = {"pointwise": Pointwise, "simcls": SimCLS, "summareranker": SummaReranker}[kind](
        str(out), device="cpu", keep=keep
    )
    opened = judge.load()
    found = list(asyncio.run(judge.scores(opened, source, texts)))
    opened.close()
    return found


# ---- it stops, and goes on ----------------------------------------------------------------------


def test_resumed_is_as_good_as_never_stopped(encoder: str, pairs: str, tmp_path: Path) -> None:
    settings = pair_settings(encoder, drop_out=0.3, epochs=2, patience=5, accumulate=2)
    whole = trained(settings, pairs, tmp_path / "whole")
    out = tmp_path / "stopped"
    watch = Watching(stop_after=4)  # in the middle of the first epoch, and between measurements
    assert train(task(settings, pairs, out), watch) is None
    assert watch.steps[-1] == 4
    assert not (out / "model.safetensors").exists()
    further = Watching(stop_after=8)  # once more, in the second epoch
    assert train(task(settings, pairs, out, resume=True), further) is None
    assert further.steps[0] == 5
    card: Card = train(task(settings, pairs, out, resume=True))
    assert card["course"]["resumed_at"] == 8
    assert whole["course"]["steps"] == 12
    assert furthest(weights(out), weights(tmp_path / "whole")) == 0
    assert card["measurements"] == whole["measurements"]
    histories = [
        json.loads((place / "history.json").read_text(encoding="utf-8")) for place in (out, tmp_path / "whole")
    ]
    assert histories[0]["measurements"] == histories[1]["measurements"]
    assert not (out / "checkpoints").exists()


def test_it_stops_early_where_nothing_gets_better(encoder: str, tmp_path: Path) -> None:
    pairs = learnable.written(tmp_path / "pairs.jsonl", learnable.pairs(80))
    settings = pair_settings(encoder, epochs=50, learning_rate=1e-12, patience=2)
    watch = Watching()
    card: Card = train(task(settings, pairs, tmp_path / "out"), watch)
    assert len(watch.measurements) == 3
    assert card["course"]["best_step"] == min(watch.measurements)
    second = sorted(watch.measurements)[1]
    before, after = Watching(stop_after=second + 1), Watching()
    assert train(task(settings, pairs, tmp_path / "resumed"), before) is None
    assert train(task(settings, pairs, tmp_path / "resumed", resume=True), after) is not None
    assert len(before.measurements) + len(after.measurements) == 3


def test_only_the_same_training_is_resumed(encoder: str, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = pair_settings(encoder)
    with pytest.raises(ConfigError, match="no training to resume"):
        train(task(settings, pairs, out, resume=True))
    assert train(task(settings, pairs, out), Watching(stop_after=1)) is None
    with pytest.raises(ConfigError, match="--resume goes on"):
        train(task(settings, pairs, out))
    with pytest.raises(ConfigError, match="other values of learning_rate, seed"):
        train(task(pair_settings(encoder, learning_rate=1e-3, seed=1), pairs, out, resume=True))
    other = learnable.written(tmp_path / "other.jsonl", learnable.pairs(seed=9))
    with pytest.raises(ConfigError, match="other data"):
        train(task(settings, other, out, resume=True))


# ---- what cannot work ---------------------------------------------------------------------------


def test_a_folder_that_is_taken_is_left_alone(encoder: str, pairs: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        train(task(pair_settings(encoder), pairs, tmp_path / "mine"))
    assert [place.name for place in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_rows_longer_than_the_encoder_counts_are_refused(pairs: str, tmp_path: Path) -> None:
    base = learnable.bert(tmp_path / "bert")
    with pytest.raises(ConfigError, match="tells 64 places apart, and rows may have 65"):
        train(task(pair_settings(base, source_tokens=25, candidate_tokens=20), pairs, tmp_path / "out"))
    assert not (tmp_path / "out").exists()  # so that the next try finds its place free


def test_several_processes_are_refused(
    encoder: str, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        train(task(pair_settings(encoder), pairs, tmp_path / "out"))


def test_spoiled_data_is_skipped_with_a_count_and_nothing_usable_is_an_error(encoder: str, tmp_path: Path) -> None:
    good = learnable.pairs(80)
    spoiled: list[dict[str, Any]] = [
        {"id": "none", "instruction": "a?", "candidates": []},
        {"id": "one", "instruction": "b?", "candidates": [{"text": "x", "scores": {"preference": 1}}]},
        {"id": "unlabelled", "instruction": "c?", "candidates": [{"text": "x"}, {"text": "y"}]},
        {"prompt": "d?", "chosen": "the same", "rejected": "the same"},
        {"prompt": "e?", "chosen": "something", "rejected": ""},
        {"prompt": "", "chosen": "something", "rejected": "else"},
    ]
    out = tmp_path / "out"
    card = trained(pair_settings(encoder, epochs=1), learnable.written(tmp_path / "a.jsonl", [*good, *spoiled]), out)
    assert card["data"]["left_out"] == {
        "examples without candidates": 1,
        "examples with one candidate": 1,
        "examples without labels": 1,
        "examples whose texts are equal, as they are read": 1,
        "candidates without text": 1,
        "candidates equal to another, as they are read": 1,
        "examples with one usable candidate": 1,
        "examples without a question": 1,
    }
    with pytest.raises(ConfigError, match="nothing to learn from"):
        train(task(pair_settings(encoder), learnable.written(tmp_path / "b.jsonl", spoiled), tmp_path / "none"))
