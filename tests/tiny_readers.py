"""Tiny transformers with random weights, for the routers that read words, and outcomes that they learn in a second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny_rankers
from coterie.outcomes.outcome import Lessons, Outcomes

LETTERS = "abcdefghij"


def encoder(place: Path) -> str:
    """A folder with a BERT of one layer and no head, over single letters."""
    import torch
    import transformers

    vocabulary = len(tiny_rankers.word_pieces(place))
    torch.manual_seed(20)
    settings: Any = transformers.BertConfig
    config = settings(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=48, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(place)
    return str(place)


def classifier(place: Path, n_labels: int, spread: float = 0.5) -> str:
    """A folder with a whole sequence classifier."""
    import torch
    import transformers

    vocabulary = len(tiny_rankers.word_pieces(place))
    torch.manual_seed(21)
    settings: Any = transformers.BertConfig
    config = settings(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=48, num_labels=n_labels, initializer_range=spread,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(place)
    return str(place)


def llama(place: Path, *, ratings: bool = False) -> str:
    """A folder with a Llama of one layer over single letters; with `ratings` it has RouteLLM's five tokens."""
    import torch
    import transformers

    wrapped = tiny_rankers.word_pieces(place)
    if ratings:
        wrapped.add_tokens([f"[[{n}]]" for n in range(1, 6)])
        wrapped.save_pretrained(place)
    torch.manual_seed(22)
    settings: Any = transformers.LlamaConfig
    config = settings(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=None, eos_token_id=3, initializer_range=0.3,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    return str(place)


def queries(n: int = 80, seed: int = 0) -> tuple[str, ...]:
    """Words of single letters; every second one begins with "z", which is what makes it hard."""
    rng = random.Random(seed)
    return tuple(("z " if place % 2 else "a ") + " ".join(rng.choices(LETTERS, k=5)) for place in range(n))


def hard(query: str) -> bool:
    return query.startswith("z")


def outcomes(members: Sequence[str] = ("small", "large"), n: int = 80, seed: int = 0) -> Lessons:
    """The last member is right always, the others where the query is not hard."""
    import numpy as np

    asked = queries(n, seed)
    scores = np.array([[float(member == members[-1] or not hard(query)) for member in members] for query in asked])
    unknown = np.full(scores.shape, np.nan)
    return Lessons(Outcomes(tuple(members), asked, scores, unknown, unknown))
