"""What the stages of blending cost on a GPU: published shapes with random weights, in transformers, bf16.

    python benchmarks/stage_times_gpu.py [--rounds N] [--quick]

The fuser (T5-XL's shape) writes 128 tokens out of 1,024, a member (Llama-3.1-8B's shape) answers and reviews: as text,
and as a prefill alone. The pair ranker (DeBERTa-v3-large's shape) reads all ordered pairs of ten candidates: the
reference's way, on stock modelling and on our own forward. Weights are random, so texts mean nothing; times depend on
shapes alone. The limit printed beside them is the card: the rate of a large bf16 matrix product in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import torch

from coterie.judges.pair_ranker.network import TorchForward
from coterie.judges.pair_ranker.packed import PackedDeberta
from pair_ranker_gpu import card_flops, drawn, engine_way, network_of, reference_way, timed

FUSER: dict[str, Any] = {
    "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_decoder_layers": 24, "num_heads": 32,
    "vocab_size": 32128, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0,
}  # fmt: skip
MEMBER: dict[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
}  # fmt: skip

Stage = tuple[str, Callable[[], Any]]


def fuser_stages(device: str, quick: bool) -> list[Stage]:
    """The fuser writes, with 4 beams and greedily."""
    from transformers import T5Config, T5ForConditionalGeneration

    small: dict[str, Any] = {
        "num_layers": 2,
        "num_decoder_layers": 2,
        "d_model": 64,
        "d_ff": 128,
        "d_kv": 16,
        "num_heads": 4,
    }
    model = _made(T5ForConditionalGeneration, T5Config(**(FUSER | small if quick else FUSER)), device)
    ids = torch.randint(10, 32000, (1, 1024), device=device)
    tokens = 8 if quick else 128

    def write(beams: int) -> Any:
        return model.generate(ids, num_beams=beams, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    return [("fuser writes 128 out of 1,024, 4 beams", lambda: write(4)), ("the same, greedy", lambda: write(1))]


def member_stages(device: str, quick: bool) -> list[Stage]:
    """A member answers and reviews."""
    from transformers import LlamaConfig, LlamaForCausalLM

    small: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = LlamaConfig(**(MEMBER | small | {"num_key_value_heads": 4} if quick else MEMBER))
    model = _made(LlamaForCausalLM, config, device)

    def prompt(tokens: int, rows: int = 1) -> Any:
        return torch.randint(10, 32000, (rows, tokens), device=device)

    def write(ids: Any, tokens: int) -> Any:
        tokens = 8 if quick else tokens
        mask = torch.ones_like(ids)
        return model.generate(ids, attention_mask=mask, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    def read(ids: Any) -> Any:
        with torch.inference_mode():
            return model(ids, logits_to_keep=1).logits

    prompts = {n: prompt(n) for n in (300, 600, 1500)}
    nine = prompt(600, 9)
    return [
        ("member answers: 300 in, 128 out", lambda: write(prompts[300], 128)),
        ("member reviews as text: 600 in, 100 out", lambda: write(prompts[600], 100)),
        *((f"member reviews as a prefill: {n:,} in", lambda n=n: read(prompts[n])) for n in prompts),
        ("nine prefill reviews in one batch: 600 in", lambda: read(nine)),
    ]


def ranker_stages(device: str, quick: bool, mean_tokens: int) -> list[Stage]:
    """All ordered pairs of ten candidates."""
    asked = drawn(1, mean_tokens)
    asked = [type(asked[0])(asked[0].source, asked[0].candidates[:10])]
    half = network_of(2 if quick else 24, device, torch.float16)
    stock, packed = TorchForward(half, device), PackedDeberta(half, device)
    said = f"ranker, 90 ordered pairs of mean {mean_tokens}"
    return [
        (f"{said}: the reference's way", lambda: reference_way(half, asked, device)),
        (f"{said}: flattened and sorted, stock modelling", lambda: engine_way(stock, asked, 8)),
        (f"{said}: flattened and sorted, own forward", lambda: engine_way(packed, asked, 0)),
    ]


def _made(cls: Any, config: Any, device: str) -> Any:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return cls(config).eval()
    finally:
        torch.set_default_dtype(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two small layers: does it run?")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}, "
          f"{card_flops(device) / 1e12:.0f} TFLOP/s in a bf16 matrix product")  # fmt: skip
    print("| stage | n | p50 | min | max |\n|---|---:|---:|---:|---:|")
    found: dict[str, list[float]] = {}
    makers: list[Callable[[], list[Stage]]] = [
        lambda: fuser_stages(device, given.quick),
        lambda: member_stages(device, given.quick),
        *((lambda n=n: ranker_stages(device, given.quick, n)) for n in (205, 608)),
    ]
    for make in makers:
        stages = make()
        for _, stage in stages:
            timed(stage)
        for _ in range(given.rounds):
            for name, stage in stages:
                found.setdefault(name, []).append(timed(stage)[0])
        for name, _ in stages:
            took = found[name]
            print(f"| {name} | {len(took)} | {_ms(statistics.median(took))} | {_ms(min(took))} | {_ms(max(took))} |",
                  flush=True)  # fmt: skip
        del stages
        if device == "cuda":
            torch.cuda.empty_cache()
    print(json.dumps({name: statistics.median(took) for name, took in found.items()}))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


if __name__ == "__main__":
    main()
