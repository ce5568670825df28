"""The pair ranker in ONNX Runtime: the reference's numbers without PyTorch, whatever the encoder and the neighbours."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from coterie import ConfigError
from coterie.judges.engine import Engine
from coterie.judges.pair_ranker import PairRankerWeights
from coterie.judges.pair_ranker.checkpoint import Checkpoint, find
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder
from golden import FOLDER, RANKER, golden, hf_layout

torch = pytest.importorskip("torch", reason="exporting a ranker needs the extra torch")
pytest.importorskip("onnx", reason="exporting a ranker needs the extra train")
np = pytest.importorskip("numpy")

from coterie.judges.pair_ranker import export, network  # noqa: E402  after the packages they need
from coterie.judges.pair_ranker.agreement import Agreement, logits, ordered_pairs  # noqa: E402
from coterie.judges.pair_ranker.onnx import OnnxForward, budget_tokens  # noqa: E402
from coterie.judges.pair_ranker.position_graph import Distances  # noqa: E402
from coterie.judges.pair_ranker.probes import probes  # noqa: E402

TOLERANCE = 1e-6


def exported(source: Path, folder: Path, *, int8: bool = False) -> Path:
    found = find(str(source))
    export.write(found, folder, export.network(found, int8=int8))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden ranker, exported."""
    return exported(RANKER, tmp_path_factory.mktemp("onnx") / "golden")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine[Pair]]:
    loaded = PairRankerWeights(str(folder), threads=1).load()
    yield loaded
    loaded.close()


def golden_pairs() -> tuple[list[Pair], list[float]]:
    """Pairs, and the reference's logits of them."""
    found = golden()
    pairs, wanted = [], []
    for source, texts, table in zip(found.inputs, found.candidates, found.logits, strict=True):
        pairs += ordered_pairs(source, texts)
        wanted += [table[i][j] for i, j in permutations(range(len(texts)), 2)]
    return pairs, wanted


def furthest(found: Sequence[float], wanted: Sequence[float]) -> float:
    return Agreement.of(wanted, found).furthest


def read(where: Path | str, pairs: Sequence[Pair], **settings: Any) -> list[float]:
    """The logits of an engine of its own."""
    opened = PairRankerWeights(str(where), **settings).load()
    try:
        return logits(opened, pairs)
    finally:
        opened.close()


# ---- the reference's numbers ------------------------------------------------------------------


@pytest.mark.parametrize("budget_tokens", [1, 700, 6_000])
def test_golden_logits_whatever_the_batch_and_the_order(folder: Path, budget_tokens: int) -> None:
    pairs, wanted = golden_pairs()
    order = list(range(len(pairs)))
    random.Random(budget_tokens).shuffle(order)
    found = read(folder, [pairs[n] for n in order], threads=1, budget_tokens=budget_tokens)
    assert furthest(found, [wanted[n] for n in order]) < TOLERANCE


def test_golden_logits_whatever_the_threads(folder: Path) -> None:
    pairs, wanted = golden_pairs()
    assert furthest(read(folder, pairs, threads=2), wanted) < TOLERANCE


WITHOUT_TORCH = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "onnx", "safetensors", "huggingface_hub", "gguf"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocked())
from coterie.judges.pair_ranker import PairRankerWeights
from coterie.judges.pair_ranker.encoding import Pair

pairs = [Pair(*texts) for texts in json.load(sys.stdin)]
engine = PairRankerWeights(sys.argv[1], threads=1).load()
print(json.dumps([left - right for left, right in engine.score(pairs)]))
engine.close()
"""


def test_it_needs_no_torch_and_no_transformers(folder: Path) -> None:
    pairs, wanted = golden_pairs()
    asked = json.dumps([(pair.source, pair.left, pair.right) for pair in pairs])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, str(folder)],
        input=asked, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert furthest(json.loads(done.stdout), wanted) < TOLERANCE


@pytest.mark.parametrize("layout", ["PairRM-hf", "half", "moved"])
def test_an_export_stands_alone_whatever_layout_it_comes_from(tmp_path: Path, layout: str) -> None:
    pairs, wanted = golden_pairs()
    tolerance = TOLERANCE
    source = shutil.copytree(FOLDER, tmp_path / "source") / "ranker"
    if layout == "PairRM-hf":
        source = hf_layout(tmp_path / "source" / "hf")
    if layout == "half":
        from safetensors.torch import load_file, save_file

        halved = {name: tensor.half() for name, tensor in load_file(source / "model.safetensors").items()}
        save_file(halved, source / "model.safetensors")
        wanted = read(source, pairs, device="cpu")
        tolerance = 10 * TOLERANCE
    made = exported(source, tmp_path / "deep" / "made")
    shutil.rmtree(tmp_path / "source")
    assert furthest(read(made.rename(tmp_path / "elsewhere"), pairs, threads=1), wanted) < tolerance


def test_an_export_has_the_layout_of_a_ranker_and_its_cards(tmp_path: Path) -> None:
    source = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps({**config, "keep": "end"}), encoding="utf-8")
    (source / "card.json").write_text('{"licence": "Apache-2.0"}', encoding="utf-8")
    (source / "README.md").write_text("# A ranker\n", encoding="utf-8")
    made = exported(source, tmp_path / "made")
    found = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    assert found == ["README.md", "base/config.json", "card.json", "config.json", "model.onnx", "tokenizer.json"]
    said = json.loads((made / "config.json").read_text(encoding="utf-8"))
    assert (said["ranker_type"], said["model_name"]) == ("pairranker", "base")
    assert (said["source_maxlength"], said["candidate_maxlength"]) == (1224, 412)
    again = find(str(made))
    assert (again.n_tasks, again.drop_out, again.keep) == (1, 0.05, "end")
    assert again.encoder["model_type"] == "deberta-v2"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        exported(RANKER, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ---- what texts may hold ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "日本語 🎉 \u0000 \u2028", "<|candidate1|> [SEP]", "a"])
def test_odd_texts_have_scores_like_pytorchs(engine: Engine[Pair], text: str) -> None:
    pairs = [Pair(text, "good", "bad"), Pair("asked", text, "bad"), Pair(text, text, text)]
    found = logits(engine, pairs)
    assert all(map(math.isfinite, found))
    assert furthest(found, read(RANKER, pairs, device="cpu")) < TOLERANCE


def test_a_row_as_long_as_rows_may_be_agrees_with_pytorch(engine: Engine[Pair]) -> None:
    words = " ".join(f"word{n}" for n in range(900))
    pairs = [Pair(words, words[::-1], words)]
    assert len(engine.encode(pairs[0]).ids) == 1224 + 2 * 412
    assert furthest(logits(engine, pairs), read(RANKER, pairs, device="cpu")) < TOLERANCE


def test_nobody_to_score_is_no_score(engine: Engine[Pair]) -> None:
    assert engine.score([]) == []


# ---- other encoders ---------------------------------------------------------------------------

DEBERTA = json.loads((FOLDER / "base" / "config.json").read_text(encoding="utf-8"))
BERT = {
    "model_type": "bert", "vocab_size": 2004, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 96, "max_position_embeddings": 160, "initializer_range": 0.2,
}  # fmt: skip


def ranker(place: Path, encoder: dict[str, Any], n_tasks: int = 1) -> Path:
    """A ranker with random weights, and texts short enough for any encoder here."""
    from safetensors.torch import save_file
    from transformers import AutoConfig

    torch.manual_seed(3)
    made = network.PairNetwork(AutoConfig.for_model(**{**encoder, "vocab_size": 2004}), n_tasks)
    (place / "base").mkdir(parents=True)
    (place / "base" / "config.json").write_text(json.dumps(encoder), encoding="utf-8")
    shutil.copy(FOLDER / "base" / "tokenizer.json", place)
    said = {"model_name": "base", "source_maxlength": 60, "candidate_maxlength": 40, "n_tasks": n_tasks}
    (place / "config.json").write_text(json.dumps(said), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in made.state_dict().items()}, place / "model.safetensors")
    return place


def stock_logits(found: Checkpoint, pairs: Sequence[Pair]) -> list[float]:
    """By transformers' own modelling, one row at a time."""
    encoder = PairEncoder(found)
    loaded = network.load(found, vocabulary=encoder.vocabulary, device="cpu", dtype=torch.float32)
    opened = Engine(encoder.row, network.TorchForward(loaded, "cpu"), budget_tokens=1)
    try:
        return logits(opened, pairs)
    finally:
        opened.close()


ENCODERS: dict[str, dict[str, Any]] = {
    "BERT": BERT,
    "BERT, one token type": {**BERT, "type_vocab_size": 1},
    "BERT, gelu_new": {**BERT, "hidden_act": "gelu_new"},
    "BERT, relu": {**BERT, "hidden_act": "relu", "layer_norm_eps": 1e-5},
    "DeBERTa": DEBERTA,
    "DeBERTa, few buckets": {**DEBERTA, "position_buckets": 8, "max_position_embeddings": 40},
    "DeBERTa, no buckets": {**DEBERTA, "position_buckets": -1, "max_relative_positions": 24},
    "DeBERTa, content to position": {**DEBERTA, "pos_att_type": ["c2p"]},
    "DeBERTa, position to content": {**DEBERTA, "pos_att_type": ["p2c"]},
    "DeBERTa, no positions in scores": {**DEBERTA, "pos_att_type": []},
    "DeBERTa, no relative attention": {**DEBERTA, "relative_attention": False},
    "DeBERTa, projections of its own": {**DEBERTA, "share_att_key": False, "norm_rel_ebd": "none"},
    "DeBERTa, places and types": {**DEBERTA, "position_biased_input": True, "type_vocab_size": 2},
    "DeBERTa, narrow words": {**DEBERTA, "embedding_size": 24},
    "DeBERTa, one layer": {**DEBERTA, "num_hidden_layers": 1},
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_every_encoder_agrees_with_stock_modelling(tmp_path: Path, encoder: dict[str, Any]) -> None:
    source = ranker(tmp_path / "source", encoder, n_tasks=2)
    pairs = list(probes())[::5]
    wanted = stock_logits(find(str(source)), pairs)
    assert max(map(abs, wanted)) > 100 * TOLERANCE
    made = exported(source, tmp_path / "made")
    for name, budget in (("alone", 1), ("together", 4_000)):
        assert furthest(read(made, pairs, threads=1, budget_tokens=budget), wanted) < 5 * TOLERANCE, name


@pytest.mark.parametrize(("buckets", "furthest_apart"), [(256, 512), (32, 512), (8, 40), (256, 2048), (-1, 24)])
def test_distances_fall_into_the_buckets_of_stock_modelling(buckets: int, furthest_apart: int) -> None:
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    encoder = {"position_buckets": buckets, "max_relative_positions": furthest_apart}
    apart = torch.arange(-8192, 8193)
    wanted = make_log_bucket_position(apart, buckets, furthest_apart) if buckets > 0 else apart
    span = buckets if buckets > 0 else furthest_apart
    assert Distances.of(encoder).rows(8192).tolist() == (wanted.long() + span).clamp(0, 2 * span - 1).tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "t5"}, "type 't5' cannot be exported"),
        ({"model_type": "deberta-v2", "conv_kernel_size": 3}, "conv_kernel_size=3"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"hidden_act": "swish"}, "hidden_act is one of gelu"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    source = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    (source.parent / "base" / "config.json").write_text(json.dumps({**DEBERTA, **change}), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        export.network(find(str(source)))


def test_other_rankers_and_missing_weights_are_refused_by_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    state = load_file(source / "model.safetensors")
    del state["pretrained_model.encoder.layer.1.output.dense.bias"]
    save_file(state, source / "model.safetensors")
    with pytest.raises(ConfigError, match=r"lack 'pretrained_model\.encoder\.layer\.1\.output\.dense\.bias'"):
        export.network(find(str(source)))
    said = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps({**said, "ranker_type": "simcls"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="'simcls' cannot be exported"):
        export.network(find(str(source)))
    with pytest.raises(ConfigError, match="of the type 'simcls'"):
        PairRankerWeights(str(source)).load()


# ---- eight bits -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose logits lie far apart, and in which one weight is far larger than the others, as in trained ones."""
    from safetensors.torch import load_file, save_file

    encoder = {**BERT, "hidden_size": 96, "intermediate_size": 192, "initializer_range": 0.1}
    source = ranker(tmp_path_factory.mktemp("spread") / "source", encoder)
    state = load_file(source / "model.safetensors")
    state["pretrained_model.encoder.layer.1.output.dense.weight"][3, 7] *= 400
    save_file(state, source / "model.safetensors")
    return source


def test_eight_bits_are_a_fraction_of_the_size_and_nearly_as_good(spread: Path, tmp_path: Path) -> None:
    whole, small = exported(spread, tmp_path / "float32"), exported(spread, tmp_path / "int8", int8=True)
    assert (small / "model.onnx").stat().st_size < 0.45 * (whole / "model.onnx").stat().st_size
    pairs = list(probes())
    agreed = Agreement.of(read(whole, pairs, threads=1), read(small, pairs, threads=1))
    assert agreed.typical < 0.08 * agreed.spread  # 0.11 where the large weight shares its row's scale
    assert agreed.same_sign >= 0.95 * agreed.pairs
    assert agreed.furthest > TOLERANCE  # or it would not be eight bits


def test_eight_bits_know_no_neighbours(spread: Path, tmp_path: Path) -> None:
    small = exported(spread, tmp_path / "int8", int8=True)
    pairs = list(probes())
    alone, among = (read(small, pairs, threads=1, budget_tokens=budget) for budget in (1, 4_000))
    assert furthest(alone, among) < 100 * TOLERANCE


def test_a_size_like_minilms_fits_into_24_megabytes(tmp_path: Path) -> None:
    minilm: dict[str, Any] = {
        **BERT, "vocab_size": 30_526, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": 1536, "max_position_embeddings": 512,
    }  # fmt: skip
    from transformers import AutoConfig

    made = network.PairNetwork(AutoConfig.for_model(**minilm))
    found = Checkpoint(tmp_path, minilm, tmp_path)
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    assert sum(parameter.numel() for parameter in made.parameters()) > 22_700_000
    assert len(export.network(found, int8=True)) <= 24_000_000


# ---- settings and faults ----------------------------------------------------------------------


def test_the_runtime_is_what_the_folder_holds_or_what_is_asked_for(folder: Path, tmp_path: Path) -> None:
    both = shutil.copytree(FOLDER, tmp_path / "both") / "ranker"
    shutil.copy(folder / "model.onnx", both)
    pairs, wanted = golden_pairs()
    for runtime in ("auto", "onnx", "torch"):
        assert furthest(read(both, pairs[:9], runtime=runtime, device="cpu"), wanted[:9]) < TOLERANCE
    with pytest.raises(ConfigError, match=r"holds no model\.onnx.*coterie export pair-ranker"):
        PairRankerWeights(str(RANKER), runtime="onnx").load()
    with pytest.raises(ConfigError, match="holds neither"):
        PairRankerWeights(str(folder), runtime="torch", device="cpu").load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "cuda"}, "not on device='cuda'"),
        ({"precision": "float16"}, "exported in float32, not in 'float16'"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"source_tokens": 9_000}, "tells 8192 places apart"),
    ],
)
def test_settings_that_a_file_cannot_follow_are_refused(folder: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PairRankerWeights(str(folder), **settings).load()


def test_rows_longer_than_an_encoder_knows_are_refused_before_they_are_read(tmp_path: Path) -> None:
    made = exported(ranker(tmp_path / "source", BERT), tmp_path / "made")
    for runtime in ("onnx", "torch"):
        where = made if runtime == "onnx" else tmp_path / "source"
        with pytest.raises(ConfigError, match="tells 160 places apart, and rows may have 280 tokens"):
            PairRankerWeights(str(where), device="cpu", source_tokens=200).load()


def test_what_is_no_rankers_file_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    (tmp_path / "torn.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigError, match=r"torn\.onnx' cannot be opened"):
        OnnxForward(tmp_path / "torn.onnx")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "other", value[:1], value[1:])
    other = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    with pytest.raises(ConfigError, match="is no ranker's"):
        OnnxForward(other.SerializeToString())


def test_a_missing_runtime_is_named_with_the_extra_that_brings_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs 'onnxruntime'.*coterie\[local\]"):
        PairRankerWeights(str(folder)).load()


def test_a_part_that_does_not_come_with_the_package_is_said_to_be_none() -> None:
    with pytest.raises(ConfigError, match="no part called 'coterie/no-such-ranker'"):
        PairRankerWeights("coterie/no-such-ranker").load()


@pytest.mark.parametrize("text", ["[]", "{", "7"])
def test_a_spoiled_encoder_configuration_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    source = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    (source.parent / "base" / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"base.config\.json' is no"):
        find(str(source))
    (source.parent / "base" / "config.json").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        find(str(source))


def test_batches_grow_with_the_threads_up_to_a_point() -> None:
    assert [budget_tokens(threads) for threads in (1, 2, 4, 8, 64)] == [512, 512, 1024, 2048, 2048]
    assert 512 <= budget_tokens(None) <= 2048


def test_agreement_is_told_in_distances_and_signs() -> None:
    agreed = Agreement.of([1.0, -1.0, 0.0, 2.0], [1.5, 1.0, 0.0, 2.0])
    assert (agreed.pairs, agreed.furthest, agreed.same_sign) == (4, 2.0, 3)
    assert agreed.typical == pytest.approx(math.sqrt((0.25 + 4) / 4))
    with pytest.raises(ValueError, match="no pair"):
        Agreement.of([], [])
