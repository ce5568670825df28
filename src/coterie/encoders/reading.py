"""Texts as encoders read them: whole characters only, and of a text that is too long one end."""

from __future__ import annotations

import hashlib
from typing import Literal

from coterie.types import encodable

Keep = Literal["start", "end"]
"""Which end of a text that is too long is read."""

DIGEST_BYTES = 16

CHARACTERS_A_TOKEN = 100
"""More than a token has of any text that is one: what is longer is cut before it is made tokens."""


def whole(text: str) -> str:
    """The text, with a mark instead of each half character: no tokenizer and no endpoint takes one."""
    if encodable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shortened(text: str, characters: int, keep: Keep) -> str:
    """At most so many characters of one end."""
    if len(text) <= characters:
        return text
    return text[:characters] if keep == "start" else text[-characters:]


def digest(text: str) -> bytes:
    """What a text is known by: the same for texts that read alike."""
    return hashlib.blake2b(whole(text).encode(), digest_size=DIGEST_BYTES).digest()
