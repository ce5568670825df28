"""How many ordered pairs a second the pair ranker reads on a GPU: DeBERTa-v3-large's shape, random weights.

    python benchmarks/pair_ranker_gpu.py [--requests N] [--mean-tokens N ...] [--quick]

The peer is the reference's way: one padded forward for every ordered pair of candidate places and batch
of 8 requests, in fp16. Ours is the engine: all pairs of all requests in one queue, cut by length, in
fp16 too, on stock modelling and on our own forward (packed rows, fused attention), this one in bf16
as well. The limit is the card: the share of a matrix product's rate, measured in the same run, that the
encoder's arithmetic alone amounts to. Lengths are log-normal; sides take turns.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch

from coterie.judges.engine import Engine, Forward, Row
from coterie.judges.pair_ranker.checkpoint import DEBERTA_V3_LARGE
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.network import PairNetwork, TorchForward
from coterie.judges.pair_ranker.packed import PackedDeberta

CANDIDATES = 11
SIGMA = 0.6
BUDGET_TOKENS = 32_768
VOCABULARY = 128_005
MARKS = (128_001, 128_002, 128_003)


@dataclass(frozen=True)
class Request:
    """A source and its candidates, as ids without marks."""

    source: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]


def drawn(requests: int, mean_tokens: int, seed: int = 0) -> list[Request]:
    """Requests whose rows have about `mean_tokens` ids."""
    rng = random.Random(seed)
    mu = math.log(mean_tokens / 3 - 3) - SIGMA**2 / 2

    def text() -> tuple[int, ...]:
        length = max(3, min(int(rng.lognormvariate(mu, SIGMA)), 600))
        return tuple(rng.randrange(4, 128_000) for _ in range(length))

    return [Request(text(), tuple(text() for _ in range(CANDIDATES))) for _ in range(requests)]


def row(source: Sequence[int], left: Sequence[int], right: Sequence[int]) -> Row:
    segments = [(1, mark, *ids, 2) for mark, ids in zip(MARKS, (source, left, right), strict=True)]
    ids = tuple(id_ for segment in segments for id_ in segment)
    return Row(ids, (1, len(segments[0]) + 1, len(segments[0]) + len(segments[1]) + 1), cut=False)


class Ids:
    """Takes the encoder's place: a text is the place of its ids."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests

    def row(self, pair: Pair) -> Row:
        request = self._requests[int(pair.source)]
        return row(request.source, request.candidates[int(pair.left)], request.candidates[int(pair.right)])


def pairs_of(requests: Sequence[Request]) -> list[Pair]:
    places = _ordered_pairs(requests)
    return [Pair(str(n), str(i), str(j)) for n in range(len(requests)) for i, j in places]


def _ordered_pairs(requests: Sequence[Request]) -> list[tuple[int, int]]:
    """Every two places of candidates, of which all requests have as many, in both orders."""
    return list(permutations(range(len(requests[0].candidates)), 2))


def reference_way(network: PairNetwork, requests: Sequence[Request], device: str) -> list[float]:
    """Logits as llm_blender 0.0.2 computes them: candidates padded to the batch's longest, batch of 8, pair by pair."""
    logits: list[float] = []
    for start in range(0, len(requests), 8):
        batch = requests[start : start + 8]
        sources = max(len(r.source) for r in batch) + 3
        texts = max(len(c) for r in batch for c in r.candidates) + 3
        table = {}
        for i, j in _ordered_pairs(requests):
            rows = [row(r.source, r.candidates[i], r.candidates[j]) for r in batch]
            table[i, j] = _padded_forward(network, rows, sources + 2 * texts, device)
        for n in range(len(batch)):
            logits += [table[pair][n] for pair in _ordered_pairs(requests)]
    return logits


def _padded_forward(network: PairNetwork, rows: Sequence[Row], most: int, device: str) -> list[float]:
    width = min(most, max(len(r.ids) for r in rows))  # the reference trims columns that are padding in every row
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    attended = torch.zeros_like(ids)
    for n, one in enumerate(rows):
        ids[n, : len(one.ids)] = torch.tensor(one.ids)
        attended[n, : len(one.ids)] = 1
    marks = torch.tensor([one.marks for one in rows])
    with torch.inference_mode():
        scores = network(ids.to(device), attended.to(device), marks.to(device)).double().mean(-1)
    found: list[float] = (scores[:, 0] - scores[:, 1]).cpu().tolist()
    return found


def engine_way(forward: Forward, requests: Sequence[Request], pad_to: int) -> tuple[list[float], float]:
    """Logits through the engine, and its share of padding."""
    engine = Engine(Ids(requests).row, forward, budget_tokens=BUDGET_TOKENS, pad_to=pad_to)
    scores = engine.score(pairs_of(requests))
    engine.close()
    return [left - right for left, right in scores], engine.spent.padding


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    _sync()
    began = time.perf_counter()
    made = work()
    _sync()
    return time.perf_counter() - began, made


def _sync() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def card_flops(device: str) -> float:
    """The rate of a large bf16 matrix product on this card, in FLOP/s."""
    size = 8192 if device == "cuda" else 1024
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    took, _ = timed(lambda: [a @ a for _ in range(10)])
    return float(10 * 2 * size**3 / took)


def network_of(layers: int, device: str, dtype: torch.dtype) -> PairNetwork:
    from transformers import AutoConfig

    settings = {**DEBERTA_V3_LARGE, "vocab_size": VOCABULARY, "num_hidden_layers": layers}
    model_type = settings.pop("model_type")
    torch.manual_seed(0)
    network = PairNetwork(AutoConfig.for_model(model_type, **settings))
    network.pretrained_model.to(device=device, dtype=dtype)
    network.head_layer.to(device=device, dtype=torch.float32)
    return network.eval()


def measure(mean_tokens: int, requests: int, rounds: int, layers: int, device: str) -> dict[str, Any]:
    """Ordered pairs a second of every way, in turns; how far their logits lie apart."""
    asked = drawn(requests, mean_tokens)
    few = asked[: max(8, requests // 8)]  # the reference's way is slow: it is given less, and rates are compared
    half, wide = network_of(layers, device, torch.float16), network_of(layers, device, torch.bfloat16)
    stock, packed, packed_wide = TorchForward(half, device), PackedDeberta(half, device), PackedDeberta(wide, device)
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "reference's way, fp16": (lambda: reference_way(half, few, device), len(few)),
        "engine, stock modelling, fp16": (lambda: engine_way(stock, asked, 8), len(asked)),
        "engine, own forward, bf16": (lambda: engine_way(packed_wide, asked, 0), len(asked)),
        "engine, own forward, fp16": (lambda: engine_way(packed, asked, 0), len(asked)),
    }
    warm = {name: timed(way)[0] for name, (way, _) in ways.items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    last: dict[str, Any] = {}
    for _ in range(rounds):
        for name, (way, number) in ways.items():
            took, last[name] = timed(way)
            rates[name].append(number * CANDIDATES * (CANDIDATES - 1) / took)
    logits = {name: value[0] if isinstance(value, tuple) else value for name, value in last.items()}
    exact = network_of(layers, device, torch.float32)
    truth = reference_way(exact, few, device)
    tokens = statistics.mean(len(Ids(asked).row(pair).ids) for pair in pairs_of(asked))
    return {
        "mean_tokens": tokens,
        "warm_up_s": warm,
        "rates": rates,
        "padding": last["engine, stock modelling, fp16"][1],
        "noise": {name: max(abs(a - b) for a, b in zip(found, truth, strict=False)) for name, found in logits.items()},
        "spread_of_logits": statistics.pstdev(truth),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mean-tokens", type=int, nargs="+", default=(205, 608), help="a table for each")
    parser.add_argument("--quick", action="store_true", help="two layers and few requests: does it run?")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers, requests, rounds = (2, 8, 1) if given.quick else (24, given.requests, given.rounds)
    flops = card_flops(device)
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}, "
          f"{flops / 1e12:.0f} TFLOP/s in a bf16 matrix product")  # fmt: skip
    for mean_tokens in (60,) if given.quick else given.mean_tokens:
        found = measure(mean_tokens, requests, rounds, layers, device)
        per_token = 2 * 12 * 1024**2 * layers
        print(json.dumps({k: found[k] for k in ("mean_tokens", "padding", "warm_up_s", "noise", "spread_of_logits")}))
        print(f"| rows of mean {found['mean_tokens']:.0f} tokens | n | pairs/s: p50 | min | max | of the card |")
        print("|---|---:|---:|---:|---:|---:|")
        for name, rates in found["rates"].items():
            middle = statistics.median(rates)
            share = middle * found["mean_tokens"] * per_token / flops
            print(f"| {name} | {len(rates)} | {middle:.0f} | {min(rates):.0f} | {max(rates):.0f} | {share:.0%} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
