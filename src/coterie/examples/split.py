"""Setting examples aside, so that no prompt is ever on both sides."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

from coterie.examples.example import Example


def held_out(
    examples: Iterable[Example], share: float = 0.15, *, salt: str = ""
) -> tuple[list[Example], list[Example]]:
    """Those to learn from, and about `share` of the prompts set aside.

    A prompt's side depends on its text alone, as `prompt_key` reads it, so all examples of one prompt are on
    one side, in every file and every order. Another `salt` makes another split.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is a part of the prompts, from 0 to 1, not {share!r}")
    kept: list[Example] = []
    aside: list[Example] = []
    for example in examples:
        (aside if falls_at(prompt_key(example), salt) < share else kept).append(example)
    return kept, aside


def prompt_key(example: Example) -> str:
    """What tells prompts apart: their text without case, white space and variants of one character.

    Files join instruction and input with a space, a line or nothing, and it is the same prompt.
    """
    return text_key(example.source)


def text_key(prompt: str) -> str:
    """`prompt_key` of a prompt that is one text."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", prompt).casefold())
    return "".join(folded.split())


def falls_at(key: str, salt: str = "") -> float:
    """Where a prompt with that key falls in [0, 1): it is held out where this is below the share."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
