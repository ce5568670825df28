"""Training a fuser, end to end: tiny models learn a made-up rule, and what was trained is what is opened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra train")
pytest.importorskip("peft", reason="training an adapter needs the extra train")
pytest.importorskip("accelerate", reason="training needs the extra train")

import torch

from coterie import ConfigError
from coterie.fusers.generative import Generative
from coterie.training.corpus import Data, DataFile
from coterie.training.fusing import FuserTask, lessons_of, train
from coterie.training.fusing_lessons import Choosing, as_used
from coterie.training.fusing_settings import FuserTraining
from coterie.training.watching import Unwatched
from coterie.types import Request
from fuser_examples import naming, write
from tiny_models import chat_llama, t5

pytestmark = pytest.mark.usefixtures("quick")

Card = Mapping[str, Any]

N = 200
"""Examples, of which a tiny model learns either rule."""

QUICK = FuserTraining(epochs=2, learning_rate=1e-2, batch=8, accumulate=1, evaluations=1, lora_drop_out=0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(naming(N), tmp_path_factory.mktemp("data") / "made.jsonl")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions under another rule."""
    return write(naming(N, next_one=True), tmp_path_factory.mktemp("data") / "others.jsonl")


def task(settings: FuserTraining, data: Path, out: Path, **more: Any) -> FuserTask:
    return FuserTask(settings, Data((DataFile(str(data), "CC0-1.0"),)), out, device="cpu", **more)


def made(settings: FuserTraining, data: Path, out: Path, **more: Any) -> Card:
    card = train(task(settings, data, out, **more))
    assert card is not None
    return card


def loss(card: Card) -> Mapping[str, float]:
    found: Mapping[str, float] = card["measurements"]["held_out_loss"]
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return {"t5": t5(tmp_path_factory.mktemp("t5")), "chat": chat_llama(tmp_path_factory.mktemp("chat"))}


@pytest.fixture(scope="module")
def whole(bases: Mapping[str, Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """The chat model, all of its weights trained to say the word that the candidates name."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, made(replace(QUICK, base=str(bases["chat"])), data, out)


@pytest.fixture(scope="module")
def adapter(
    whole: tuple[Path, Card], others: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Card, FuserTraining]:
    """An adapter of that model, trained to say the next word instead."""
    out = tmp_path_factory.mktemp("runs") / "adapter"
    settings = replace(QUICK, base=str(whole[0]), base_name="someone/tiny", lora=True)
    return out, made(settings, others, out), settings


# ---- learning ---------------------------------------------------------------------------------


def test_a_decoder_learns_the_rule_with_all_of_its_weights(whole: tuple[Path, Card], data: Path) -> None:
    out, card = whole
    found = loss(card)
    assert found["after"] < 0.75 * min(found["constant"], found["before"])
    assert (card["style"], card["adapter"]) == ("chat", False)
    assert _held_out_loss(Generative(str(out), device="cpu"), data) == pytest.approx(found["after"], rel=1e-4)


def test_an_encoder_decoder_learns_the_rule(bases: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "t5"
    card = made(replace(QUICK, base=str(bases["t5"]), epochs=3), data, out)
    found = loss(card)
    assert found["after"] < 0.75 * min(found["constant"], found["before"])
    assert card["style"] == "genfuser"
    assert _held_out_loss(Generative(str(out), device="cpu"), data) == pytest.approx(found["after"], rel=1e-4)


def test_what_learned_in_bfloat16_is_measured_as_it_is_saved(
    bases: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    settings = replace(QUICK, base=str(bases["chat"]), epochs=1, precision="bfloat16")
    found = loss(made(settings, data, tmp_path / "out"))
    assert found["after"] < 0.75 * min(found["constant"], found["before"])
    assert {weight.dtype for weight in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}
    opened = Generative(str(tmp_path / "out"), device="cpu", precision="bfloat16")
    assert _held_out_loss(opened, data) == pytest.approx(found["after"], rel=0.05, abs=0.01)


def test_an_adapter_learns_another_rule(
    whole: tuple[Path, Card], adapter: tuple[Path, Card, FuserTraining], others: Path
) -> None:
    out, card, _ = adapter
    found = loss(card)
    assert found["after"] < 0.75 * min(found["constant"], found["before"])
    opened = Generative(str(whole[0]), adapter=str(out), device="cpu")
    assert _held_out_loss(opened, others) == pytest.approx(found["after"], rel=1e-4)
    without = _held_out_loss(replace(opened, adapter=""), others)
    assert without == pytest.approx(found["before"], rel=1e-4)


def test_what_was_trained_writes_by_its_rule(
    whole: tuple[Path, Card], adapter: tuple[Path, Card, FuserTraining]
) -> None:
    unseen = slice(N, N + 60)
    asked = [(Request.of(e.input), [t.text for t in e.candidates]) for e in naming(N + 60)[unseen]]
    for fuser, next_one in (
        (Generative(str(whole[0]), device="cpu", beams=1), False),
        (Generative(str(whole[0]), adapter=str(adapter[0]), device="cpu", beams=1), True),
    ):
        texts = fuser.write(fuser.weights.load(), asked)
        wanted = [e.output for e in naming(N + 60, next_one=next_one)[unseen]]
        right = sum(text == output for text, output in zip(texts, wanted, strict=True))
        assert right > 50, texts  # 10 of 60 by chance


def test_an_adapter_gives_what_peft_gives_of_it(
    whole: tuple[Path, Card], adapter: tuple[Path, Card, FuserTraining]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from coterie.fusers.generative.loading import quiet

    ids = torch.arange(3, 30)[None]
    with quiet(), torch.inference_mode():
        base: Any = AutoModelForCausalLM.from_pretrained(whole[0])
        theirs = PeftModel.from_pretrained(base, str(adapter[0])).eval()(input_ids=ids).logits
        ours = Generative(str(whole[0]), adapter=str(adapter[0]), device="cpu").weights.load()
        torch.testing.assert_close(ours._model(input_ids=ids).logits, theirs, rtol=1e-4, atol=1e-5)


def _held_out_loss(fuser: Generative, data: Path) -> float:
    """The mean loss of a target's token, computed anew, one prompt at a time, with what inference opens and reads."""
    from coterie.examples import held_out, read

    engine = fuser.weights.load()
    end = engine.tokenizer.eos_token_id
    lessons = as_used([(e, [0.0] * 3) for e in held_out(list(read(str(data))))[1]], Choosing(), Counter())
    total, tokens = 0.0, 0
    for lesson in lessons:
        said = lesson.told
        prompt = engine.prompt(said.instruction, said.input, said.candidates)
        target = [*engine.tokenizer(lesson.target, add_special_tokens=False)["input_ids"], end]
        ids = list(prompt.ids) if engine.encodes else [*prompt.ids, *target]
        labels = target if engine.encodes else [-100] * len(prompt.ids) + target
        with torch.inference_mode():
            one = engine._model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
        total += float(one.loss) * len(target)
        tokens += len(target)
    return total / tokens


# ---- the artifact -----------------------------------------------------------------------------


def test_an_adapters_folder_names_its_base_and_no_place(adapter: tuple[Path, Card, FuserTraining]) -> None:
    from safetensors.torch import load_file

    out, card, settings = adapter
    assert {file.name for file in out.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "card.json",
        "history.json",
    }
    told = json.loads((out / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == card["base"] == "someone/tiny"
    assert told["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert (told["r"], told["lora_alpha"], told["task_type"]) == (8, 16, "CAUSAL_LM")
    weights = load_file(out / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert len(weights) == 2 * 2 * 7
    _names_no_place(out, settings)


def test_a_models_folder_is_whole_and_names_no_place(whole: tuple[Path, Card], bases: Mapping[str, Path]) -> None:
    out, card = whole
    assert {"config.json", "model.safetensors", "tokenizer.json", "card.json", "README.md"} <= {
        file.name for file in out.iterdir()
    }
    assert json.loads((out / "config.json").read_text())["use_cache"] is True
    assert card["base"] == bases["chat"].name
    _names_no_place(out, replace(QUICK, base=str(bases["chat"])))


def _names_no_place(out: Path, settings: FuserTraining) -> None:
    for file in out.iterdir():
        if file.suffix in {".json", ".md", ".jinja"}:
            said = file.read_text()
            for place in (out, Path(settings.base)):
                assert str(place.parent) not in said, file.name


def test_the_card_says_what_was_learned_and_from_what(adapter: tuple[Path, Card, FuserTraining]) -> None:
    out, card, settings = adapter
    assert card == json.loads((out / "card.json").read_text())
    assert (card["kind"], card["adapter"]) == ("fuser", True)
    assert card["data"]["files"] == [{"name": "others.jsonl", "licence": "CC0-1.0"}]
    [counted] = card["data"]["examples"]
    assert counted["origin"] == "made"
    assert counted["learned"] + counted["measured"] == N
    assert card["data"]["chosen_by"] == "lot"
    assert card["data"]["targets_among_the_candidates"] == 0.0
    assert card["settings"]["rank"] == settings.rank
    assert card["settings"]["learning_rate"] == 1e-2
    assert card["course"]["updates"] == card["course"]["best_update"] == 2 * -(-counted["learned"] // 8)
    page = (out / "README.md").read_text()
    for said in ("others.jsonl: licence CC0-1.0", f"{loss(card)['after']:.4f}", "`adapter:` this folder", "by lot"):
        assert said in page


def test_the_card_takes_what_fusing_is_worth(adapter: tuple[Path, Card, FuserTraining], tmp_path: Path) -> None:
    import shutil

    from coterie.training import fusing_cards

    folder = Path(shutil.copytree(adapter[0], tmp_path / "copy"))
    for n in (1, 2):
        fusing_cards.add_worth(folder, {"prompts": n}, f"It gained {n} times.")
    assert fusing_cards.load(folder)["measurements"]["fusing"] == {"prompts": 2}
    page = (folder / "README.md").read_text()
    assert "It gained 2 times." in page
    assert "It gained 1 times." not in page
    with pytest.raises(ConfigError, match="holds no card"):
        fusing_cards.load(tmp_path)
    (tmp_path / "card.json").write_text('{"kind": "pairranker"}')
    with pytest.raises(ConfigError, match="of a 'pairranker', not of a fuser"):
        fusing_cards.load(tmp_path)


@pytest.mark.parametrize(
    ("base", "name", "said"),
    [
        ("google/flan-t5-large", "", "google/flan-t5-large"),
        ("/models/tiny", "", "tiny"),
        ("runs/base/", "", "base"),
        ("./tiny", "", "tiny"),
        ("~/models/smol.gguf", "", "smol.gguf"),
        ("models/smol.gguf", "", "smol.gguf"),
        ("C:\\models\\tiny", "", "tiny"),
        ("a/b/c", "", "c"),
        ("/models/smol.gguf", "HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ],
)
def test_what_the_base_is_called(base: str, name: str, said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "base").mkdir(parents=True)
    assert FuserTraining(base=base, base_name=name).said_base == said


# ---- choosing by scores and by judges ---------------------------------------------------------


@pytest.mark.parametrize(
    ("ranker", "chosen_by", "share_of_the_last", "share_of_the_first"),
    [
        ("scores", "the score 'fits' in the data", (1.0, 1.0), (0.0, 0.0)),
        ("length", "length", (0.0, 0.1), (0.6, 1.0)),
        ("none", "lot", (0.2, 0.5), (0.2, 0.5)),
    ],
)
def test_who_chooses_the_candidates(
    ranker: str,
    chosen_by: str,
    share_of_the_last: tuple[float, float],
    share_of_the_first: tuple[float, float],
    data: Path,
    tmp_path: Path,
) -> None:
    asked = task(replace(QUICK, top_k=1, noise=0.0), data, tmp_path / "out", ranker=ranker)
    found = lessons_of(asked, Unwatched())
    assert found.chooser == chosen_by
    by_words = Counter(len(lesson.told.candidates[0].split()) for lesson in found.train)
    assert by_words.total() == len(found.train) > 0.8 * N
    for words, (least, most) in ((4, share_of_the_last), (6, share_of_the_first)):
        assert least <= by_words[words] / by_words.total() <= most


@pytest.mark.parametrize(
    ("ranker", "metric", "error"),
    [("scores", "bleu", "no candidate has a score 'bleu'; the data has fits"), ("nobody", None, "is no judge")],
)
def test_a_chooser_that_there_is_not(ranker: str, metric: str | None, error: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=error):
        train(task(QUICK, data, tmp_path / "out", ranker=ranker, metric=metric))
    assert not (tmp_path / "out").exists()


# ---- stopping and going on --------------------------------------------------------------------


class StopAt(Unwatched):
    """A watch that wants to stop after so many updates."""

    def __init__(self, update: int) -> None:
        self._update, self._seen = update, 0
        self.measurements: list[float] = []

    def stepped(self, step: int, *_: Any) -> None:
        self._seen = step

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:
        self.measurements.append(measurements["loss"])

    def stopping(self) -> bool:
        return self._seen >= self._update


@pytest.mark.parametrize("lora", [True, False])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(
    lora: bool, whole: tuple[Path, Card], tmp_path: Path
) -> None:
    others = write(naming(80, next_one=True), tmp_path / "others.jsonl")
    settings = replace(QUICK, base=str(whole[0]), lora=lora, lora_drop_out=0.1)
    at_once, with_a_break = made(settings, others, tmp_path / "a"), tmp_path / "b"
    assert train(task(settings, others, with_a_break), StopAt(6)) is None
    assert [file.name for file in with_a_break.iterdir()] == ["checkpoints"]
    with pytest.raises(ConfigError, match="--resume goes on"):
        train(task(settings, others, with_a_break))
    with pytest.raises(ConfigError, match="began with other values of batch, seed"):
        train(task(replace(settings, seed=1, batch=4), others, with_a_break, resume=True))
    resumed = made(settings, others, with_a_break, resume=True)
    assert resumed["course"]["resumed_at"] == 6 < resumed["course"]["updates"] / 2
    assert resumed["course"]["updates"] == at_once["course"]["updates"]
    assert loss(resumed)["after"] == pytest.approx(loss(at_once)["after"], rel=1e-3)
    assert not (with_a_break / "checkpoints").exists()


def test_the_best_measurement_is_kept_and_patience_ends(whole: tuple[Path, Card], tmp_path: Path) -> None:
    """A learning rate that wrecks the model: the first measurement stays the best."""
    settings = replace(QUICK, base=str(whole[0]), lora=True, learning_rate=3.0, patience=2, evaluations=4, epochs=9)
    data, watch = write(naming(80), tmp_path / "few.jsonl"), StopAt(10**9)
    card = train(task(settings, data, tmp_path / "out"), watch)
    assert card is not None
    assert card["course"]["updates"] < 9 * (card["data"]["examples"][0]["learned"] // 8)
    best = watch.measurements.index(min(watch.measurements))
    assert len(watch.measurements) == best + 3
    assert loss(card)["after"] == pytest.approx(min(watch.measurements), rel=0.02)


# ---- what is refused --------------------------------------------------------------------------


def test_a_folder_that_is_taken(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="there already, and not empty"):
        train(task(QUICK, data, tmp_path))
    with pytest.raises(ConfigError, match="holds no training to resume"):
        train(task(QUICK, data, tmp_path / "new", resume=True))


def test_several_processes_are_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        train(task(QUICK, data, tmp_path / "out"))


def test_a_base_that_cannot_be_opened_leaves_the_place_free(data: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        train(task(replace(QUICK, base=str(tmp_path / "base")), data, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_data_without_references_teach_nothing(whole: tuple[Path, Card], tmp_path: Path) -> None:
    empty = write([replace(e, output="") for e in naming(40)], tmp_path / "none.jsonl")
    settings = replace(QUICK, base=str(whole[0]))
    with pytest.raises(ConfigError, match="nothing to learn from; left out: 40 examples without a reference"):
        train(task(settings, empty, tmp_path / "out"))
    few = write(naming(1), tmp_path / "few.jsonl")
    with pytest.raises(ConfigError, match=r"nothing to (learn from|measure)"):
        train(task(settings, few, tmp_path / "out"))


def test_layers_that_are_not_there(whole: tuple[Path, Card], data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no adapter can stand beside"):
        train(task(replace(QUICK, base=str(whole[0]), lora=True, targets=("nope",)), data, tmp_path / "out"))


@pytest.mark.parametrize(
    "settings",
    [
        {"rank": 0}, {"epochs": 0}, {"batch": 0}, {"noise": 2.0}, {"learning_rate": 0.0}, {"patience": 0},
        {"top_k": -1}, {"warm_up": -0.1}, {"target_tokens": 0}, {"evaluations": 0}, {"accumulate": 0},
        {"candidate_tokens": 0}, {"prompt_tokens": 0}, {"weight_decay": -1.0}, {"clip_norm": -1.0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FuserTraining(**settings)


def test_rates_are_by_what_is_trained() -> None:
    assert FuserTraining().highest_rate == 5e-5
    assert FuserTraining(lora=True).highest_rate == 2e-4
    assert FuserTraining(lora=True, learning_rate=1e-3).highest_rate == 1e-3


def test_the_constant_is_the_targets_own_distribution() -> None:
    from coterie.training.fusing_measuring import constant_loss

    learned = [{"input_ids": [1], "labels": [-100, 1, 1, 2]}]
    held = [{"input_ids": [1], "labels": [1, -100, 3]}]
    assert constant_loss(learned, held, vocabulary=5) == pytest.approx(
        -(torch.log(torch.tensor(3 / 8)) + torch.log(torch.tensor(1 / 8))).item() / 2
    )
