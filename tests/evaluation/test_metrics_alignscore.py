"""AlignScore against plain loops over single pairs with a tiny network, and its checkpoints in every layout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from metric_models import aligner, bert

from coterie.errors import ConfigError, MissingWeights
from coterie.evaluation.metrics import OverGolds, build
from coterie.evaluation.metrics.alignscore import AlignScore, Mode
from coterie.evaluation.metrics.chunks import chunks
from coterie.evaluation.metrics.sentences import sentences

torch = pytest.importorskip("torch", reason="AlignScore needs the extra torch")

CONTEXT = (
    "The cat sat on the mat. It rains in Paris and Berlin. Paris is the capital of France! Is a dog under the table? "
    "The dog sits on the mat and the cat sat under a table . It rains , it rains ."
)
CLAIMS = [
    "The cat sat.",
    "Paris is the capital of France. Berlin is a dog? It rains!",
    "The table was on the cat.",
    "你好 🙂 é",
    "A dog sits",
]
HEADS = ["nli", "bin", "reg"]
MODES: list[Mode] = ["nli_sp", "nli", "bin_sp", "bin", "reg_sp", "reg"]
LARGE = "AlignScore-large.ckpt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aligner(tmp_path_factory.mktemp("aligner"))


def scores(folder: Path | str, claims: Sequence[str], contexts: Sequence[str], **settings: Any) -> list[float | None]:
    with build("alignscore", model=str(folder), device="cpu", **settings).open() as metric:
        return metric.score(claims, contexts)


class ByHand:
    """The same network out of transformers' own parts, one pair at a time, cut as the authors cut."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, RobertaConfig, RobertaModel

        self.state = torch.load(folder / LARGE, weights_only=True)["state_dict"]
        build_encoder: Any = RobertaModel
        self.encoder: Any = build_encoder(RobertaConfig.from_pretrained(folder)).eval()
        own = {name.removeprefix("base_model."): t for name, t in self.state.items() if name.startswith("base_model.")}
        own.pop("embeddings.position_ids")
        self.encoder.load_state_dict(own)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def ids(self, context: str, claim: str) -> list[int]:
        room = 40 - 4
        of_context, of_claim = (self.tokenizer(t, add_special_tokens=False).input_ids for t in (context, claim))
        long = len(of_context) + len(of_claim) > room
        kind = ("only_first" if len(of_claim) < room else "longest_first") if long else "do_not_truncate"
        found: list[int] = self.tokenizer(context, claim, truncation=kind, max_length=40).input_ids
        return found

    def read(self, context: str, claim: str, head: str) -> float:
        with torch.no_grad():
            pooled = self.encoder(input_ids=torch.tensor([self.ids(context, claim)])).pooler_output[0]
        layer = {"nli": "tri", "bin": "bin", "reg": "reg"}[head]
        logits = self.state[f"{layer}_layer.weight"] @ pooled + self.state[f"{layer}_layer.bias"]
        if head == "reg":
            return float(logits[0])
        return float(logits.softmax(-1)[0 if head == "nli" else 1])

    def score(self, context: str, claim: str, head: str, words: int) -> float:
        best = [max(self.read(chunk, said, head) for chunk in chunks(context, words)) for said in sentences(claim)]
        return sum(best) / len(best)


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> ByHand:
    return ByHand(folder)


# ---- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("words", [8, 350])
def test_it_is_the_mean_over_sentences_of_the_best_chunk(head: str, words: int, folder: Path, by_hand: ByHand) -> None:
    assert len(chunks(CONTEXT, 8)) > 2
    found = scores(folder, CLAIMS, [CONTEXT] * len(CLAIMS), mode=f"{head}_sp", chunk_words=words)
    wanted = [by_hand.score(CONTEXT, claim, head, words) for claim in CLAIMS]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert len({round(score or 0, 6) for score in found}) == len(CLAIMS)


@pytest.mark.parametrize("head", HEADS)
def test_without_splitting_both_texts_are_read_whole(head: str, folder: Path, by_hand: ByHand) -> None:
    context = "The cat sat. It rains."
    found = scores(folder, CLAIMS, [context] * len(CLAIMS), mode=head)
    assert found == pytest.approx([by_hand.read(context, claim, head) for claim in CLAIMS], abs=1e-5)


def test_a_sentence_counts_the_chunk_that_supports_it_most(folder: Path, by_hand: ByHand) -> None:
    found = scores(folder, [CLAIMS[1]], [CONTEXT], chunk_words=8)
    each = [[by_hand.read(chunk, said, "nli") for chunk in chunks(CONTEXT, 8)] for said in sentences(CLAIMS[1])]
    assert len(each) == 3
    assert {row.index(max(row)) for row in each} != {0}
    assert found == pytest.approx([sum(map(max, each)) / 3], abs=1e-5)


@pytest.mark.parametrize(
    ("context", "claim"),
    [
        ("the cat " * 30, "a dog"),  # the chunk is cut
        ("the cat " * 30, "it rains " * 17),  # to two tokens
        ("the cat " * 30, "it rains " * 18),  # the sentence fills the row, and both are cut
        ("the cat " * 30, "it rains " * 90),
        ("the cat", "it rains " * 90),  # the short one stays whole
    ],
)
def test_long_texts_are_cut_as_the_authors_tokenizer_cuts_them(
    context: str, claim: str, folder: Path, by_hand: ByHand
) -> None:
    assert len(by_hand.ids(context, claim)) == 40
    with build("alignscore", model=str(folder), device="cpu").open() as metric:
        assert metric.score([claim], [context]) == pytest.approx([by_hand.read(context, claim, "nli")], abs=1e-5)
        assert metric.cut == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_claim_has_nothing_that_is_supported(mode: Mode, folder: Path) -> None:
    found = scores(folder, ["", " \n", "cat", ""], ["the cat", "the cat", "", " "], mode=mode)
    assert found == [0.0, 0.0, None, None]


def test_what_a_special_piece_spells_is_no_special_piece(folder: Path) -> None:
    plain, spelled = scores(folder, ["the cat sat", "the cat </s></s> sat"], ["the mat"] * 2)
    assert plain == spelled


def test_a_chunk_and_a_sentence_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.evaluation.metrics.aligner import Aligner

    read: list[Any] = []
    forward = Aligner.__call__

    def watched(self: Aligner, rows: Sequence[Any]) -> list[float]:
        read.extend(rows)
        return forward(self, rows)

    monkeypatch.setattr(Aligner, "__call__", watched)
    claims = ["The cat sat. It rains.", "It rains. The cat sat.", "A dog sits. It rains."]
    scores(folder, claims * 5, [CONTEXT] * 15, chunk_words=8)
    assert len(read) == 3 * len(chunks(CONTEXT, 8))
    assert len(set(read)) == len(read)


def test_batches_hold_rows_of_nearly_one_width_within_the_budget(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.evaluation.metrics.aligner import Aligner

    batches: list[list[int]] = []
    forward = Aligner.__call__

    def watched(self: Aligner, rows: Sequence[Any]) -> list[float]:
        batches.append([self.width(row) for row in rows])
        return forward(self, rows)

    monkeypatch.setattr(Aligner, "__call__", watched)
    claims = ["cat " * n for n in range(1, 25)]
    scores(folder, claims, ["the dog"] * len(claims), budget_tokens=64)
    assert all(max(batch) * len(batch) <= 64 for batch in batches)
    flat = [width for batch in batches for width in batch]
    assert flat == sorted(flat, reverse=True)
    assert len(batches) < len(claims)


def test_the_best_gold_answer_where_there_is_no_passage(folder: Path) -> None:
    golds = ["the cat sat", "a dog sits"]
    each = scores(folder, ["it rains"] * 2, golds)
    with OverGolds(AlignScore(str(folder), device="cpu")).open() as metric:
        assert metric.score(["it rains"], [golds]) == pytest.approx([max(s for s in each if s is not None)], abs=1e-6)


def test_a_score_in_another_precision_is_near(folder: Path) -> None:
    exact = scores(folder, CLAIMS, [CONTEXT] * 5)
    coarse = scores(folder, CLAIMS, [CONTEXT] * 5, precision="bfloat16")
    assert coarse == pytest.approx(exact, abs=0.05)
    assert coarse != exact


# ---- checkpoints ------------------------------------------------------------------------------


def copy(folder: Path, place: Path, *, without: tuple[str, ...] = ()) -> Path:
    place.mkdir(exist_ok=True)
    for file in folder.iterdir():
        if file.name not in without:
            (place / file.name).write_bytes(file.read_bytes())
    return place


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / LARGE, weights_only=True)["state_dict"]
    return found


def test_safetensors_of_the_same_names_are_the_same_metric(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    place = copy(folder, tmp_path / "safe", without=(LARGE,))
    kept = {name: t.contiguous() for name, t in state(folder).items() if not name.startswith("mlm_head.")}
    save_file(kept, place / "model.safetensors")
    wanted = scores(folder, CLAIMS, [CONTEXT] * 5)
    assert scores(place, CLAIMS, [CONTEXT] * 5) == wanted
    bare = copy(folder, tmp_path / "bare", without=(LARGE,))
    torch.save(kept, bare / "mine.ckpt")  # a bare state dict, under any name
    assert scores(bare, CLAIMS, [CONTEXT] * 5) == wanted


def test_of_several_files_one_is_named(folder: Path, tmp_path: Path) -> None:
    place = copy(aligner(tmp_path / "other", seed=13), tmp_path / "both")
    (place / "AlignScore-base.ckpt").write_bytes((folder / LARGE).read_bytes())
    wanted = scores(folder, CLAIMS, [CONTEXT] * 5)
    assert scores(place, CLAIMS, [CONTEXT] * 5) != wanted
    assert scores(place, CLAIMS, [CONTEXT] * 5, file="AlignScore-base.ckpt") == wanted
    (place / LARGE).rename(place / "b.ckpt")
    (place / "AlignScore-base.ckpt").rename(place / "a.ckpt")
    with pytest.raises(ConfigError, match=r"holds several checkpoints: say file='a\.ckpt'"):
        scores(place, ["a"], ["a"])
    with pytest.raises(MissingWeights, match=r"holds no 'c\.ckpt'"):
        scores(place, ["a"], ["a"], file="c.ckpt")


def test_the_encoder_can_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / LARGE).write_bytes((folder / LARGE).read_bytes())
    encoder = copy(folder, tmp_path / "encoder", without=(LARGE,))
    found = scores(alone, CLAIMS, [CONTEXT] * 5, encoder=str(encoder))
    assert found == scores(folder, CLAIMS, [CONTEXT] * 5)
    with pytest.raises(ConfigError, match=r"its encoder is not known: put its config\.json and tokenizer beside it"):
        scores(alone, ["a"], ["a"])


def test_absent_weights_are_missing(tmp_path: Path) -> None:
    with pytest.raises(
        MissingWeights, match=r"holds neither model\.safetensors nor a checkpoint such as AlignScore-la"
    ):
        scores(tmp_path, ["a"], ["a"])


def test_a_checkpoint_that_would_run_code_is_not_run(folder: Path, tmp_path: Path) -> None:
    place = copy(folder, tmp_path / "unsafe")
    ran = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return (Path.touch, (ran,))

    torch.save({"state_dict": state(folder), "callbacks": Runs()}, place / LARGE)
    with pytest.raises(ConfigError, match=r"weights alone \(Unsupported global: .*\): where you trust its source"):
        scores(place, ["a"], ["a"])
    assert not ran.exists()


def test_weights_of_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    place = copy(folder, tmp_path / "wrong")
    whole = state(folder)
    short = {name: t for name, t in whole.items() if name != "tri_layer.bias"}
    wrong: dict[str, tuple[Any, str]] = {
        "lacks": ({"state_dict": short}, r"it lacks \['tri_layer.bias'\] and adds \[\]"),
        "adds": ({"state_dict": {**whole, "x.bias": torch.zeros(1)}}, r"it lacks \[\] and adds \['x.bias'\]"),
        "shape": ({"state_dict": {**whole, "bin_layer.bias": torch.zeros(3)}}, "does not fit the encoder"),
        "list": ([1, 2], "holds no state dict"),
        "none": ({"state_dict": {"a": 1}}, "holds no state dict"),
    }
    for content, message in wrong.values():
        torch.save(content, place / LARGE)
        with pytest.raises(ConfigError, match=message):
            scores(place, ["a"], ["a"])
    (place / LARGE).write_bytes(b"no pickle")
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint"):
        scores(place, ["a"], ["a"])
    (place / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ConfigError, match="cannot be read as safetensors"):
        scores(place, ["a"], ["a"])


def test_another_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    encoder = bert(tmp_path / "bert")
    with pytest.raises(ConfigError, match=r"AlignScore's encoder is RoBERTa, and .* is 'bert'"):
        scores(folder, ["a"], ["a"], encoder=str(encoder))


def test_the_published_names_are_known_by_their_widths() -> None:
    from coterie.evaluation.metrics.aligner import WIDTHS

    assert WIDTHS == {768: "roberta-base", 1024: "roberta-large"}
    assert (AlignScore().model, AlignScore().mode, AlignScore().chunk_words) == ("yzha/AlignScore", "nli_sp", 350)


def test_nothing_is_said_where_nothing_is_cut(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "coterie"):
        scores(folder, ["cat. dog."], ["the mat."])
    assert [record for record in caplog.records if record.name == "coterie"] == []
