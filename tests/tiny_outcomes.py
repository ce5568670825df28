"""Files and folders that routers are trained from in a second: outcomes with a rule, battles, bases and an encoder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tiny_readers
from coterie.outcomes.outcome import Lessons

TEXT_KINDS = ("bert", "causal_llm", "forc", "hybrid")
"""Kinds that train a transformer."""


def records(n: int = 80, seed: int = 0, members: Iterable[str] = ("small", "large")) -> list[dict[str, Any]]:
    """`tiny_readers.outcomes` as lines of a file: the last member is always right, the others on what is not hard."""
    named = tuple(members)
    return [
        {
            "prompt": query,
            "benchmark": "hard" if tiny_readers.hard(query) else "easy",
            "outcomes": {
                member: {
                    "score": float(member == named[-1] or not tiny_readers.hard(query)),
                    "cost": 0.001 * (place + 1),
                    "output_tokens": 10 * (place + 1),
                    "response": "a text that nobody keeps",
                }
                for place, member in enumerate(named)
            },
        }
        for query in tiny_readers.queries(n, seed)
    ]


def battles(n: int = 80, seed: int = 0) -> list[dict[str, Any]]:
    """The large member wins on what is hard, and elsewhere it is a tie."""
    return [
        {
            "prompt": query,
            "model_a": "small",
            "model_b": "large",
            "winner": "model_b" if tiny_readers.hard(query) else "tie",
        }
        for query in tiny_readers.queries(n, seed)
    ]


def written(file: Path, lines: Iterable[Mapping[str, Any]]) -> str:
    """The name of a file that now holds the lines."""
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return str(file)


def lessons(members: tuple[str, ...] = ("small", "large"), n: int = 80, seed: int = 0) -> Lessons:
    """The same outcomes, without a file."""
    return tiny_readers.outcomes(members, n, seed)


def table(folder: Path) -> str:
    """The folder of a static encoder over single letters, each with a direction of its own."""
    import numpy as np
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = ["[UNK]", "z", *tiny_readers.LETTERS]
    made = Tokenizer(models.WordLevel({letter: n for n, letter in enumerate(letters)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(folder / "tiny_tokenizer.json"))
    save_file({"embedding.weight": np.eye(len(letters), dtype=np.float16)}, str(folder / "model.safetensors"))
    return str(folder)


def settings(kind: str, folder: Path) -> dict[str, Any]:
    """What makes a kind's training short; a transformer to start from is put into `folder`."""
    if kind not in TEXT_KINDS:
        return {"shortest_prompt": 1} if kind == "sw_ranking" else {}
    base = tiny_readers.llama(folder) if kind == "causal_llm" else tiny_readers.encoder(folder)
    own = {"labels": "prob"} if kind == "hybrid" else {}  # scores of 0 and 1 have no other labels
    return {"base": base, "max_updates": 2, "epochs": 1, "batch": 16, "accumulate": 1, "max_tokens": 24, **own}
