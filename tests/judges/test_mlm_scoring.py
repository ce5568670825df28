"""MLM-Scoring against a loop that hides one token after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coterie import Committee, ConfigError, ScriptedMember
from coterie.judges.mlm_scoring import MLMScoring
from coterie.methods.best_of import BestOf
from coterie.run import LiveRun
from coterie.trace import JudgementMade, Trace
from coterie.types import Candidate, Limits, Request

torch = pytest.importorskip("torch", reason="MLM-Scoring needs the extra torch")

TEXTS = ["hello", "hello world, how are you?", "a", "Odd: {}", "日本 ???", "the end of it all", "hello"]
TOLERANCE = 1e-5
REQUEST = Request.of("Well?")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from tiny_rankers import bert, roberta

    place = tmp_path_factory.mktemp("masked")
    return {"bert": bert(place / "bert", "MaskedLM"), "roberta": roberta(place / "roberta")}


@pytest.fixture(scope="module")
def reader(models: dict[str, Path]) -> Iterator[Any]:
    loaded = MLMScoring(str(models["bert"]), device="cpu").load()
    yield loaded
    loaded.close()


def read(reader: Any, texts: Sequence[str]) -> list[list[float]]:
    found: list[list[float]] = asyncio.run(reader.log_probabilities(texts))
    return found


def naively(folder: Path, text: str) -> list[float]:
    """One forward for each token, of a single row without padding, through the whole model."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    family: Any = AutoModelForMaskedLM
    model = family.from_pretrained(folder).eval()
    ids = tokenizer(text)["input_ids"]
    found = []
    for place in range(1, len(ids) - 1):
        masked = [*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([masked])).logits[0, place].double()
        found.append(float(logits.log_softmax(-1)[ids[place]]))
    return found


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("budget_tokens", [1, 60, 10_000])
def test_every_token_is_hidden_once_whatever_the_batch(models: dict[str, Path], name: str, budget_tokens: int) -> None:
    reader = MLMScoring(str(models[name]), device="cpu", budget_tokens=budget_tokens).load()
    found = read(reader, TEXTS)
    reader.close()
    for text, of_tokens in zip(TEXTS, found, strict=True):
        assert of_tokens == pytest.approx(naively(models[name], text), abs=TOLERANCE)


def test_a_text_without_tokens_has_no_score_and_comes_last(models: dict[str, Path]) -> None:
    texts = ["an unlikely answer", " ", "x", "\u200b"]
    members = [ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(texts) if n != 1]
    judge = MLMScoring(str(models["bert"]), device="cpu")
    traces: list[Trace] = []
    with Committee(members, {"default": BestOf(("m0", "m2", "m3"), judge=judge, rule="mean")}) as committee:
        answer = committee.ask("Well?", on_trace=traces.append)
    assert answer.ranking is not None
    assert answer.text == "x"
    assert answer.ranking.order[-1] == "c3"
    assert answer.ranking.scores["c3"] is None
    silent = [event.judgement for event in traces[0].of(JudgementMade) if event.judgement.abstained]
    assert [judgement.about for judgement in silent] == [()]
    assert "'c3'" in silent[0].abstained


@pytest.mark.parametrize("per_token", [False, True])
def test_the_score_is_the_sum_or_the_mean(models: dict[str, Path], per_token: bool) -> None:
    judge = MLMScoring(str(models["bert"]), device="cpu", per_token=per_token)
    with Committee(
        [ScriptedMember("a", ("short",)), ScriptedMember("b", ("rather a longer one",))],
        {"default": BestOf(("a", "b"), judge=judge, rule="mean")},
    ) as committee:
        ranking = committee.ask("Well?").ranking
    assert ranking is not None
    for id_, text in (("c1", "short"), ("c2", "rather a longer one")):
        of_tokens = naively(models["bert"], text)
        wanted = sum(of_tokens) / (len(of_tokens) if per_token else 1)
        assert ranking.scores[id_] == pytest.approx(wanted, abs=TOLERANCE)


@pytest.mark.parametrize("spelled", ["[MASK]", "[SEP]", "[CLS]", "[PAD]"])
def test_a_special_piece_in_a_text_hides_and_ends_nothing(reader: Any, spelled: str) -> None:
    assert read(reader, [f"one {spelled} two"]) == read(reader, ["one two"])


@pytest.mark.parametrize(("name", "room"), [("bert", 48 - 2), ("roberta", 40 - 2 - 2)])
def test_a_text_too_long_is_cut_to_the_models_places_and_counted_once(
    models: dict[str, Path], name: str, room: int, caplog: pytest.LogCaptureFixture
) -> None:
    judges = {keep: MLMScoring(str(models[name]), device="cpu", keep=keep) for keep in ("start", "end")}
    text = "b " * 30 + "c " * 30
    kept = {}
    for keep, judge in judges.items():
        reader = judge.load()
        with caplog.at_level(logging.WARNING, "coterie"):
            kept[keep] = read(reader, [text])[0]
        assert (reader.engine.spent.rows, reader.engine.spent.cut) == (room, 1)
        reader.close()
    assert [record.message.split()[0] for record in caplog.records] == ["1", "1"]
    assert kept["start"] == pytest.approx(naively(models[name], ("b " * 30 + "c " * 30)[: 2 * room]), abs=TOLERANCE)
    assert kept["end"] == pytest.approx(naively(models[name], text[-2 * room :]), abs=TOLERANCE)


@pytest.mark.parametrize(("name", "pad_to", "most"), [("bert", 1, 48), ("roberta", 1, 38), ("roberta", 8, 32)])
def test_padding_needs_places_too(models: dict[str, Path], name: str, pad_to: int, most: int) -> None:
    from coterie.judges import pretrained
    from coterie.judges.placement import Placement

    place = Placement("cpu", torch.float32, 1000, pad_to)
    assert pretrained.most_tokens(pretrained.model("MaskedLM", str(models[name]), place), place) == most


def test_fewer_tokens_than_the_model_has_places_for_can_be_asked_for(models: dict[str, Path]) -> None:
    reader = MLMScoring(str(models["bert"]), device="cpu", text_tokens=5).load()
    assert [len(of_tokens) for of_tokens in read(reader, ["a b c d e f g", "a b"])] == [5, 2]
    reader.close()


def test_equal_texts_are_computed_once(models: dict[str, Path]) -> None:
    reader = MLMScoring(str(models["bert"]), device="cpu").load()
    first, second, third = read(reader, ["a b c", "a b c", "a b d"])
    assert first == second != third
    assert (reader.engine.spent.rows, reader.engine.spent.computed) == (9, 6)
    reader.close()


def test_sum_and_mean_run_on_one_model(models: dict[str, Path], reader: Any) -> None:
    opened: list[Any] = []

    class Lent:
        async def once(self, spec: Any) -> Any:
            opened.append(spec)
            return reader

    async def work(judge: MLMScoring) -> None:
        run = LiveRun(REQUEST, {}, Limits(), seed=1, house=Lent())
        await judge.judge(REQUEST, [Candidate("c1", "a", "one")], run)

    for per_token in (False, True):
        asyncio.run(work(MLMScoring(str(models["bert"]), device="cpu", per_token=per_token)))
    assert opened[0] == opened[1]


def test_what_is_no_masked_language_model_is_refused_by_name(tmp_path: Path, models: dict[str, Path]) -> None:
    from tiny_rankers import bert

    classifier = bert(tmp_path / "classifier", "SequenceClassification")
    with pytest.raises(ConfigError, match=r"no model for MaskedLM: its weights lack \['cls\."):
        MLMScoring(str(classifier), device="cpu").load()
    with pytest.raises(ConfigError, match="nowhere"):
        MLMScoring(str(tmp_path / "nowhere"), device="cpu").load()


def test_a_tokenizer_that_masks_nothing_is_refused(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tiny_rankers import bert

    folder = bert(tmp_path / "maskless", "MaskedLM")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match="no piece that masks"):
        MLMScoring(str(folder), device="cpu").load()
