"""A pair ranker with random weights in LLM-Blender's published layout, of any size, and texts for it to read."""

from __future__ import annotations

import json
import math
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent.parent / "tests" / "data" / "golden_pairranker"
"""Its tokenizer, 2,000 pieces, serves."""

SIGMA = 0.6
"""Of the texts' lengths, which are log-normal."""
LONGEST_WORDS = 150
"""No text is so long that a ranker cuts it: the reference's rule of cutting depends on a batch's neighbours."""


@dataclass(frozen=True)
class Size:
    """Of a DeBERTa v3."""

    layers: int = 6
    width: int = 384
    heads: int = 12


def write(place: Path, size: Size) -> Path:
    """A ranker in `place` / ranker, whose base model lies beside it, as the reference wants it: the ranker's folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModel

    from coterie.judges.pair_ranker.network import PairNetwork

    shutil.copytree(GOLDEN / "base", place / "base")
    config = json.loads((place / "base" / "config.json").read_text(encoding="utf-8")) | {
        "num_hidden_layers": size.layers,
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "intermediate_size": 4 * size.width,
        "pooler_hidden_size": size.width,
    }
    (place / "base" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model_type = config.pop("model_type")
    torch.manual_seed(0)
    build: Any = AutoModel.from_config
    base = build(AutoConfig.for_model(model_type, **config))
    _save(base, place / "base")
    network = PairNetwork(AutoConfig.for_model(model_type, **{**config, "vocab_size": config["vocab_size"] + 4}))
    (place / "ranker").mkdir()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, place / "ranker" / "model.safetensors")
    shutil.copy(GOLDEN / "ranker" / "config.json", place / "ranker")
    return place / "ranker"


def _save(base: Any, place: Path) -> None:
    """The base model's weights: the reference loads them, and then overwrites them."""
    from safetensors.torch import save_file

    save_file(
        {k: v.contiguous() for k, v in base.state_dict().items()},
        place / "model.safetensors",
        metadata={"format": "pt"},
    )


@dataclass(frozen=True)
class Texts:
    """Requests: each a source and its candidates."""

    sources: list[str]
    candidates: list[list[str]]


def drawn(requests: int, candidates: int, mean_words: float, seed: int = 0) -> Texts:
    """Texts of random words, whose lengths are log-normal."""
    found = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
    words = sorted(
        {word for texts in (found["inputs"], *found["candidates"]) for text in texts for word in text.split()}
    )
    rng = random.Random(seed)
    mu = math.log(mean_words) - SIGMA**2 / 2

    def text() -> str:
        return " ".join(rng.choices(words, k=max(1, min(int(rng.lognormvariate(mu, SIGMA)), LONGEST_WORDS))))

    return Texts([text() for _ in range(requests)], [[text() for _ in range(candidates)] for _ in range(requests)])
