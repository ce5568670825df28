"""A made-up task that a small fuser can learn: all candidates name one city or word, and the reference says it."""

from __future__ import annotations

import json
import random
from pathlib import Path

from coterie.examples import Example, Text

WORDS = ("Paris", "Berlin", "France", "world", "hello", "capital")
FILLING = ("what", "is", "the", "of", "question")


def naming(n: int, *, next_one: bool = False) -> list[Example]:
    """`n` examples whose reference is the word that the candidates name, or the `next_one` of the words' circle.

    Of the three candidates the first is the longest, and the last has the best score, `fits`.
    """
    return [_one(number, next_one) for number in range(n)]


def _one(number: int, next_one: bool) -> Example:
    rng = random.Random(number)
    named = rng.randrange(len(WORDS))
    texts = tuple(
        Text(f"{' '.join(rng.choices(FILLING, k=4 - n))} {WORDS[named]} .", f"m{n}", {"fits": float(n)})
        for n in range(3)
    )
    wanted = WORDS[(named + next_one) % len(WORDS)]
    return Example(f"made/{number}", input=" ".join(rng.choices(FILLING, k=8)), candidates=texts, output=f"{wanted} .")


def write(examples: list[Example], file: Path) -> Path:
    """The examples in a file of MixInstruct's shape."""
    records = (
        {
            "id": example.id,
            "instruction": example.instruction,
            "input": example.input,
            "output": example.output,
            "candidates": [{"text": t.text, "model": t.model, "scores": dict(t.scores)} for t in example.candidates],
        }
        for example in examples
    )
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file
