"""Setting examples aside, so that no prompt is ever on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from coterie.examples.example import Example


def held_out(
    examples: Iterable[Example], share: float = 0.15, *, salt: str = ""
) -> tuple[list[Example], list[Example]]:
    """Those to learn from, and about `share` of the prompts set aside.

    A prompt's side depends on its text alone (case and white space aside), so all examples of one prompt
    are on one side, in every file and every order. Another `salt` makes another split.
    """
    kept: list[Example] = []
    aside: list[Example] = []
    for example in examples:
        (aside if _place(example, salt) < share else kept).append(example)
    return kept, aside


def _place(example: Example, salt: str) -> float:
    """Where the prompt falls in [0, 1)."""
    text = salt + "\0" + " ".join(example.source.casefold().split())
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
