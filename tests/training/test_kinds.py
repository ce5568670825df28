"""What is trained reads what the judge reads, and starts from the base's own weights."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="training needs the extra train")

import learnable  # noqa: E402
from coterie.errors import ConfigError  # noqa: E402
from coterie.examples import Example, Text  # noqa: E402
from coterie.judges.pair_ranker.checkpoint import PREFIXES, Checkpoint  # noqa: E402
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder  # noqa: E402
from coterie.judges.pointwise.encoding import Answer, AnswerEncoder  # noqa: E402
from coterie.training import starting  # noqa: E402
from coterie.training.batches import Collator  # noqa: E402
from coterie.training.kinds import RankerKind, kind_of  # noqa: E402
from coterie.training.passes import Passes, Unit  # noqa: E402
from coterie.training.preparing import REFERENCE, Prepared, Preparing  # noqa: E402
from coterie.training.settings import (  # noqa: E402
    AnyTraining,
    PairRankerTraining,
    PointwiseKind,
    PointwiseRankerTraining,
)
from golden import FOLDER, RANKER  # noqa: E402

TEXTS = [
    "good cat",
    "",
    "<|candidate1|> inside <|source|>",
    "[SEP] and [CLS]",
    "long " * 40,
    "日本語 🎉 \u0000",
    "good cat",
]
SOURCES = ["which?", "<|source|> which [SEP]", "long " * 60]


@pytest.fixture
def laid_out(encoder: str, tmp_path: Path) -> Checkpoint:
    settings = PairRankerTraining(source_tokens=16, candidate_tokens=12)
    return starting.lay_out(starting.find(encoder), settings, tmp_path / "ranker")


def prepared(kind: RankerKind, *examples: Example) -> list[Prepared]:
    return list(Preparing(kind, ("preference",)).all(examples, Counter()))


def example(*scores: float, origin: str = "", output: str = "", words: int = 1) -> Example:
    texts = tuple(Text(f"text {n} {'word ' * n * words}", "", {"preference": s}) for n, s in enumerate(scores))
    return Example("1", input=f"which of {scores}?", candidates=texts, origin=origin, output=output)


# ---- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("keep", ["start", "end"])
def test_a_pairs_row_is_the_judges_own(laid_out: Checkpoint, source: str, keep: Any) -> None:
    checkpoint = replace(laid_out, keep=keep)
    kind, encoder = kind_of("pairranker", checkpoint), PairEncoder(checkpoint)
    tokens = kind.read(source, TEXTS, "")
    for a, b in permutations(range(len(TEXTS)), 2):
        (row,), wanted = kind.rows(tokens, (a, b)), encoder.row(Pair(source, TEXTS[a], TEXTS[b]))
        assert (tuple(row.ids), row.marks) == (wanted.ids, wanted.marks)
        assert len(row.ids) <= kind.longest


@pytest.mark.parametrize("name", ["pointwise", "summareranker"])
def test_an_answers_row_is_the_judges_own(laid_out: Checkpoint, name: PointwiseKind) -> None:
    kind = kind_of(name, laid_out)
    encoder = AnswerEncoder(laid_out, "marks" if name == "pointwise" else "first")
    for source in SOURCES:
        rows = kind.rows(kind.read(source, TEXTS, ""), tuple(range(len(TEXTS))))
        wanted = [encoder.row(Answer(source, text)) for text in TEXTS]
        assert [(tuple(row.ids), row.marks) for row in rows] == [(row.ids, row.marks) for row in wanted]
        assert max(len(row.ids) for row in rows) <= kind.longest


def test_simcls_reads_everything_alone_and_the_reference_where_there_is_one(laid_out: Checkpoint) -> None:
    kind = kind_of("simcls", laid_out)
    assert len(kind.rows(kind.read("which?", TEXTS, ""), (0, 2))) == 3
    with_reference = kind.read("which?", TEXTS, "the reference")
    assert with_reference.reference is not None
    assert kind.rows(with_reference, (0, REFERENCE))[-1] is with_reference.reference


def test_a_batch_lays_its_rows_out(laid_out: Checkpoint) -> None:
    kind = kind_of("simcls", laid_out)
    of = prepared(kind, example(1, 0, 2, output="the best"))[0]
    made = Collator(kind)([Unit(of, (2, 0, REFERENCE), 0.5), Unit(of, (0, 1))])
    assert made["layout"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 0]]
    assert made["quality"].squeeze(-1).tolist() == [[2.0, 1.0, float("inf")], [1.0, 0.0, 0.0]]
    assert made["present"].tolist() == [[True, True, True], [True, True, False]]
    assert made["weight"].tolist() == [0.5, 1.0]
    assert made["ids"].shape == made["attended"].shape
    rows = [*kind.rows(of.tokens, (2, 0, REFERENCE)), *kind.rows(of.tokens, (0, 1))]
    assert made["attended"].sum(1).tolist() == [len(row.ids) for row in rows]


def test_cosines_stand_where_their_candidates_do(laid_out: Checkpoint) -> None:
    kind = kind_of("simcls", laid_out)
    said = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    scores = kind.scores(said, torch.tensor([[0, 1, 2], [3, 4, 0]]))
    assert scores.shape == (2, 2, 1)
    assert scores[0, 1].item() == pytest.approx((said[0] @ said[2]).item())
    assert scores[1, 0].item() == pytest.approx((said[3] @ said[4]).item())


# ---- what an epoch reads ------------------------------------------------------------------------


def passes(kind: RankerKind, examples: list[Prepared], settings: AnyTraining) -> Passes:
    return Passes(examples, Collator(kind).cost, settings)


def read(passed: Passes, epoch: int) -> list[list[Unit]]:
    passed.set_epoch(epoch)
    return list(passed)


def test_every_unit_weighs_the_same_in_its_update(laid_out: Checkpoint) -> None:
    kind = kind_of("pairranker", laid_out)
    examples = prepared(kind, *[example(1, 0, 2, words=n) for n in range(7)])
    settings = PairRankerTraining(batch=3, accumulate=2)
    made = passes(kind, examples, settings)
    batches = read(made, 0)
    assert len(batches) == len(made) == 8
    assert (len(made.first), made.steps) == (21, 4)
    for start in range(0, 8, 2):
        update = batches[start : start + 2]
        n_units = sum(map(len, update))
        assert all(u.weight / len(update) == pytest.approx(1 / n_units) for batch in update for u in batch)


def test_epochs_differ_and_repeat_under_a_seed(laid_out: Checkpoint) -> None:
    kind = kind_of("pairranker", laid_out)
    examples = prepared(kind, *[example(1, 0, 2, 3, 4) for _ in range(3)], example(5, 1))
    for settings in (PairRankerTraining(num_pos=3), PairRankerTraining(num_pos=3, balance=("length",))):
        made, again = passes(kind, examples, settings), passes(kind, examples, settings)
        first, second = ([[u.places for u in b] for b in read(made, n)] for n in (0, 1))
        assert first != second
        assert [[u.places for u in b] for b in read(again, 1)] == second
        assert sum(map(len, first)) == sum(map(len, second)) == len(made.first)


def test_origins_and_lengths_are_balanced(laid_out: Checkpoint) -> None:
    kind = kind_of("pairranker", laid_out)
    # In all but a few examples the longer text is the better one; "rare" has one of these.
    longer, shorter = [example(0, 1) for _ in range(28)], [example(1, 0) for _ in range(10)]
    rare = [example(0, 1, origin="rare") for _ in range(10)]
    examples = prepared(kind, *longer, *shorter, *rare)
    drawn = passes(kind, examples, PairRankerTraining(balance=("length",))).first
    assert Counter(u.prepared.leaning(u.places) for u in drawn) == {1: 24, -1: 24}
    drawn = passes(kind, examples, PairRankerTraining(balance=("origin",))).first
    assert Counter(u.prepared.example.origin for u in drawn) == {"": 24, "rare": 24}
    drawn = passes(kind, examples, PairRankerTraining(balance=("origin", "length"))).first
    assert set(Counter((u.prepared.example.origin, u.prepared.leaning(u.places)) for u in drawn).values()) == {16}


def test_the_length_offset_is_of_left_over_right(laid_out: Checkpoint) -> None:
    kind = kind_of("pairranker", laid_out)
    of = prepared(kind, example(0, 1, words=5))[0]
    made = Collator(kind, length_logit=2.0)([Unit(of, (1, 0)), Unit(of, (0, 1))])
    assert made["offset"][0] > 0
    assert made["offset"].sum().item() == 0
    assert Collator(kind)([Unit(of, (1, 0))])["offset"].tolist() == [0.0]


# ---- the base -----------------------------------------------------------------------------------


def filled(base: str, folder: Path, **settings: Any) -> tuple[Any, Checkpoint]:
    """The pair network that starts from a base."""
    found = starting.find(base)
    checkpoint = starting.lay_out(found, PairRankerTraining(**settings), folder)
    kind = kind_of("pairranker", checkpoint)
    network = kind.network(checkpoint)
    starting.fill(network, found, kind.vocabulary)
    return network, checkpoint


def test_the_bases_weights_are_taken_and_the_pieces_embedded(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    base = learnable.bert(tmp_path / "bert")
    network, checkpoint = filled(base, tmp_path / "ranker")
    before = load_file(Path(base) / "model.safetensors")
    after = network.pretrained_model.state_dict()
    words = after.pop("embeddings.word_embeddings.weight")
    assert torch.equal(words[:2000], before.pop("embeddings.word_embeddings.weight"))
    assert len(words) == 2000 + len(PREFIXES)
    assert words[2000:].std() > 0
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert checkpoint.encoder["vocab_size"] == 2000 + len(PREFIXES)


def test_an_embedding_larger_than_the_tokenizer_is_cut(tmp_path: Path) -> None:
    base = learnable.encoder(tmp_path / "large", vocab_size=2100)
    network, _ = filled(base, tmp_path / "ranker")
    assert len(network.pretrained_model.embeddings.word_embeddings.weight) == 2000 + len(PREFIXES)


def test_a_ranker_is_gone_on_with_head_and_all(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network, _ = filled(str(RANKER), tmp_path / "more")
    before = load_file(RANKER / "model.safetensors")
    after = network.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_a_ranker_in_the_older_layout_is_gone_on_with_too(tmp_path: Path) -> None:
    base = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    (base / "config.json").rename(base / "ranker_config.json")
    assert starting.find(str(base)).ranker is not None
    network, _ = filled(str(base), tmp_path / "more")
    again, _ = filled(str(RANKER), tmp_path / "once more")
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in network.state_dict().items())


@pytest.fixture
def broken(tmp_path: Path, encoder: str) -> Path:
    return Path(shutil.copytree(encoder, tmp_path / "broken"))


def test_bases_that_cannot_be_used_are_refused(tmp_path: Path, broken: Path) -> None:
    with pytest.raises(ConfigError, match=r"'./nowhere/at_all' is no folder"):
        starting.find("./nowhere/at_all")
    with pytest.raises(ConfigError, match="another shape"):
        filled(str(RANKER), tmp_path / "a", metrics=("one", "two"))
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    lost = weights.pop("encoder.layer.0.output.dense.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lack \['encoder.layer.0.output.dense.weight'\]"):
        filled(str(broken), tmp_path / "b")
    assert lost.shape == (64, 64)
    (broken / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="cannot be loaded"):
        filled(str(broken), tmp_path / "c")
    (broken / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        starting.find(str(broken))


def test_a_tokenizer_without_separators_is_refused(tmp_path: Path, broken: Path) -> None:
    specification = json.loads((broken / "tokenizer.json").read_text(encoding="utf-8"))
    specification["post_processor"] = None
    (broken / "tokenizer.json").write_text(json.dumps(specification), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[CLS\] and \[SEP\]"):
        filled(str(broken), tmp_path / "ranker")


def test_the_layout_is_the_published_one(laid_out: Checkpoint) -> None:
    written = json.loads((laid_out.folder / "config.json").read_text(encoding="utf-8"))
    published = json.loads((FOLDER / "ranker" / "config.json").read_text(encoding="utf-8"))
    assert set(published) <= set(written)
    assert written["ranker_type"] == "pairranker"
    assert (laid_out.source_tokens, laid_out.candidate_tokens, laid_out.n_tasks) == (16, 12, 1)


def test_pointwise_settings_depend_on_the_kind() -> None:
    made = PointwiseRankerTraining()
    assert (made.loss, made.sampling, made.num_pos, made.sampling_ratio) == ("instructgpt", "all_pair", 5, 0.5)
    made = PointwiseRankerTraining(kind="summareranker")
    assert (made.loss, made.draws.num_pos, made.draws.num_neg) == (None, 1, 1)
    assert PointwiseRankerTraining(kind="simcls").draws.ratio == 0.3


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"loss": "MSE", "label_smoothing": 0.1}, "loss of order"),
        ({"loss": "BCE", "length_penalty": 0.5}, "differences"),
        ({"batch": 0}, "batch"),
        ({"patience": 0}, "patience"),
        ({"metrics": ()}, "metrics"),
        ({"metrics": ("a", "a")}, "metrics"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"num_pos": 0}, "num_pos"),
        ({"sampling_ratio": 0}, "sampling_ratio"),
        ({"sampling_ratio": 1.5}, "sampling_ratio"),
        ({"warm_up": 1.5}, "warm_up"),
        ({"drop_out": -0.1}, "drop_out"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"clip_norm": float("nan")}, "clip_norm"),
        ({"length_penalty": -1.0}, "length_penalty"),
    ],
)
@pytest.mark.parametrize("kind", [PairRankerTraining, PointwiseRankerTraining])
def test_settings_that_cannot_work_are_refused(kind: type[AnyTraining], settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        kind(**settings)


@pytest.mark.parametrize("settings", [{"loss": "MSE"}, {"sampling": "random"}, {"length_penalty": 0.5}])
def test_kinds_with_a_loss_of_their_own_take_no_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="of 'pointwise'"):
        PointwiseRankerTraining(kind="simcls", **settings)
    with pytest.raises(ConfigError, match="label_smoothing"):
        PointwiseRankerTraining(kind="simcls", label_smoothing=0.1)
