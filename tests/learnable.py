"""A rule that a tiny model learns in seconds: the better candidate holds a certain word, whatever its length."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from golden import FOLDER

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "in", "sun", "with", "tea", "or", "milk"]

TINY: Mapping[str, Any] = {
    "source_tokens": 20,
    "candidate_tokens": 20,
    "epochs": 3,
    "learning_rate": 4e-3,
    "batch": 12,
    "accumulate": 1,
    "optimizer": "adamw",
    "weight_decay": 0.0,
}
"""Settings under which it learns."""


def text(rng: random.Random, *words: str) -> str:
    """A few words, with these among them."""
    found = [*rng.choices(WORDS, k=rng.randint(2, 7)), *words]
    rng.shuffle(found)
    return " ".join(found)


def pairs(n: int = 160, seed: int = 0) -> list[dict[str, Any]]:
    """Preference pairs of two origins; the chosen text holds "good"."""
    rng = random.Random(seed)
    return [
        {
            "source": "even" if place % 2 == 0 else "odd",
            "label_type": "rule",
            "prompt": f"{text(rng)} {place}?",
            "chosen": text(rng, "good"),
            "rejected": text(rng),
        }
        for place in range(n)
    ]


def lists(n: int = 100, seed: int = 0) -> list[dict[str, Any]]:
    """Lists of four candidates, scored by how many "good" they hold, with a reference that holds three."""
    rng = random.Random(seed)
    return [
        {
            "id": f"lists/{place}",
            "instruction": f"{text(rng)} {place}?",
            "output": text(rng, *["good"] * 3),
            "candidates": [
                {"text": text(rng, *["good"] * held), "model": f"m{held}", "scores": {"goods": held, "half": held / 2}}
                for held in rng.sample((0, 0, 1, 2), 4)
            ],
        }
        for place in range(n)
    ]


def written(place: Path, records: Iterable[Mapping[str, Any]]) -> str:
    """The records as a file of JSON Lines."""
    place.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return str(place)


def encoder(place: Path, **changed: Any) -> str:
    """A folder with a DeBERTa of one layer, its weights random, and the golden ranker's tokenizer."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    settings = json.loads((FOLDER / "base" / "config.json").read_text(encoding="utf-8"))
    settings |= {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    settings |= {"initializer_range": 0.1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **changed}
    torch.manual_seed(0)
    _saved(DebertaV2Model(DebertaV2Config(**settings)), place)
    return str(place)


def bert(place: Path) -> str:
    """A folder with a BERT of one layer that tells 64 places apart."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    settings: Any = BertConfig
    _saved(
        BertModel(
            settings(
                vocab_size=2000, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=64,
            )
        ),
        place,
    )  # fmt: skip
    return str(place)


def _saved(model: Any, place: Path) -> None:
    from coterie.quiet import quiet

    with quiet():
        model.save_pretrained(place)
    shutil.copy(FOLDER / "base" / "tokenizer.json", place)
