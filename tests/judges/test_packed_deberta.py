"""Our own forward of DeBERTa against stock modelling and the golden numbers."""

from __future__ import annotations

import importlib.util
from itertools import permutations
from typing import Any

import pytest

from coterie.judges.engine import Engine
from coterie.judges.pair_ranker.checkpoint import DEBERTA_V3_LARGE, find
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder
from golden import RANKER, golden

np = pytest.importorskip("numpy", reason="the pair ranker needs the extra torch")
torch = pytest.importorskip("torch", reason="the pair ranker needs the extra torch")

SMALL = {
    "vocab_size": 500,
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
}


def network(**settings: Any) -> Any:
    """DeBERTa with random weights, large enough for positions to matter."""
    from transformers import AutoConfig

    from coterie.judges.pair_ranker.network import PairNetwork

    wanted = {**DEBERTA_V3_LARGE, **SMALL, **settings}
    torch.manual_seed(0)
    made = PairNetwork(AutoConfig.for_model(wanted.pop("model_type"), **wanted)).eval()
    for weights in made.pretrained_model.parameters():
        weights.data.mul_(3)
    return made


def rows(*lengths: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(1)
    ids = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    for n, length in enumerate(lengths):
        ids[n, :length] = rng.integers(4, 499, length)
    marks = np.array([[1, length // 3, 2 * length // 3] for length in lengths])
    return ids, np.array(lengths), marks


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"share_att_key": False},
        {"position_buckets": -1, "max_relative_positions": 24},
        {"position_buckets": 16, "max_relative_positions": 40},
        {"norm_rel_ebd": "none"},
        {"num_attention_heads": 4},
    ],
    ids=str,
)
def test_scores_are_those_of_stock_modelling(settings: dict[str, Any]) -> None:
    from coterie.judges.pair_ranker.network import TorchForward
    from coterie.judges.pair_ranker.packed import PackedDeberta, packs

    made = network(**settings)
    assert packs(made.pretrained_model.config)
    asked = rows(150, 77, 64, 13, 9)
    stock = np.array(TorchForward(made, "cpu")(*asked)())
    packed = np.array(PackedDeberta(made, "cpu")(*asked)())
    assert np.abs(stock - packed).max() < 1e-5
    assert np.ptp(stock[:, 0] - stock[:, 1]) > 1e-2, "the network tells rows apart, so that equality says something"


def test_rows_longer_than_there_are_buckets_are_read_alike() -> None:
    from coterie.judges.pair_ranker.network import TorchForward
    from coterie.judges.pair_ranker.packed import PackedDeberta

    made = network(position_buckets=32, max_relative_positions=64)
    asked = rows(130, 33, 32, 20)
    stock = np.array(TorchForward(made, "cpu")(*asked)())
    assert np.abs(stock - np.array(PackedDeberta(made, "cpu")(*asked)())).max() < 1e-5


def test_a_row_does_not_know_its_neighbours() -> None:
    from coterie.judges.pair_ranker.packed import PackedDeberta

    forward = PackedDeberta(network(), "cpu")
    ids, lengths, marks = rows(60, 41, 12)
    together = np.array(forward(ids, lengths, marks)())
    for n in range(3):
        alone = np.array(forward(ids[n : n + 1], lengths[n : n + 1], marks[n : n + 1])())
        assert np.abs(alone[0] - together[n]).max() < 1e-6


def test_golden_logits() -> None:
    from coterie.judges.pair_ranker.network import load
    from coterie.judges.pair_ranker.packed import PackedDeberta

    checkpoint = find(str(RANKER))
    encoder = PairEncoder(checkpoint)
    loaded = load(checkpoint, vocabulary=encoder.vocabulary, device="cpu", dtype=torch.float32)
    engine = Engine(encoder.row, PackedDeberta(loaded, "cpu"), budget_tokens=600, pad_to=0)
    found = golden()
    for source, texts, table in zip(found.inputs, found.candidates, found.logits, strict=True):
        places = list(permutations(range(len(texts)), 2))
        scores = engine.score([Pair(source, texts[i], texts[j]) for i, j in places])
        assert max(abs(left - right - table[i][j]) for (left, right), (i, j) in zip(scores, places, strict=True)) < 1e-6
    engine.close()
    assert engine.spent.padding == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"position_biased_input": True},
        {"conv_kernel_size": 3},
        {"type_vocab_size": 2},
        {"pos_att_type": ["c2p"]},
        {"relative_attention": False},
    ],
    ids=str,
)
def test_encoders_with_extras_are_left_to_stock_modelling(settings: dict[str, Any]) -> None:
    from transformers import AutoConfig

    from coterie.judges.pair_ranker.packed import packs

    wanted = {**DEBERTA_V3_LARGE, **SMALL, **settings}
    assert not packs(AutoConfig.for_model(wanted.pop("model_type"), **wanted))


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or not torch.cuda.is_available(),
    reason="the fused kernel needs Triton and a GPU",
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_fused_kernel_says_what_plain_attention_says(dtype: str) -> None:
    from coterie.judges.pair_ranker.disentangled import attend
    from coterie.judges.pair_ranker.packed import PackedDeberta, attend_by_row

    made = network().to("cuda", dtype=getattr(torch, dtype))
    asked = rows(300, 150, 77, 64, 13, 9)
    plain = np.array(PackedDeberta(made, "cuda", attend_by_row)(*asked)())
    fused = np.array(PackedDeberta(made, "cuda", attend)(*asked)())
    assert np.abs(plain - fused).max() < {"float32": 1e-4, "float16": 2e-2, "bfloat16": 2e-1}[dtype]
