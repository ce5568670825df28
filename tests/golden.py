"""The golden pair ranker: a tiny checkpoint in the published layout, and what the reference made of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "golden_pairranker"
RANKER = FOLDER / "ranker"


@dataclass(frozen=True)
class Golden:
    inputs: list[str]
    candidates: list[list[str]]
    logits: list[list[list[float]]]
    scores: list[list[float]]
    ranks: list[list[int]]


@cache
def golden() -> Golden:
    return Golden(**json.loads((FOLDER / "golden.json").read_text(encoding="utf-8")))


def hf_layout(place: Path) -> Path:
    """The same checkpoint laid out as PairRM-hf: a model's configuration, and the tokenizer beside it."""
    place.mkdir(parents=True, exist_ok=True)
    encoder = json.loads((FOLDER / "base" / "config.json").read_text(encoding="utf-8"))
    (place / "config.json").write_text(json.dumps({**encoder, "n_tasks": 1, "drop_out": 0.05}), encoding="utf-8")
    shutil.copy(RANKER / "model.safetensors", place)
    shutil.copy(FOLDER / "tokenizer_with_prefix_tokens" / "tokenizer.json", place)
    return place
