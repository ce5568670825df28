"""Other people's text inside our prompts: quoted so that it stays data, whatever it says.

Every block is fenced with a mark that occurs in none of the quoted texts, so nothing inside a block can close
it, open another or pass for one. It is drawn afresh for each run, and again for a prompt that quotes it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import product

from coterie.types import Candidate, Message

UNKNOWN_WINDOW_TOKENS = 32_768
"""What a member is taken to read where its context window is not known: one huge answer must not blind everybody."""

CHARACTERS_A_TOKEN = 3
"""How much text surely fits a token of a member's window."""

FENCE_CHARACTERS = 80
"""What a fence and its heading take for each quoted text, at most."""

SHORTEST_SHARE = 200
"""Characters that are left of a text however little room there is."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Quotes:
    """The fences of one prompt, for the `texts` it will quote."""

    def __init__(self, rng: random.Random, texts: Iterable[str]) -> None:
        held = list(texts)
        mark = f"{rng.getrandbits(32):08x}"
        while any(mark in text for text in held):
            mark = f"{rng.getrandbits(64):016x}"
        self._mark = mark

    def block(self, noun: str, text: str, label: str = "") -> str:
        """`text` fenced as a `noun`, with a label where it has one."""
        name = f"{noun}-{self._mark}"
        identity = f' id="{label}"' if label else ""
        return f"<{name}{identity}>\n{text}\n</{name}>"

    def conversation(self, messages: Sequence[Message]) -> str:
        """The turns of a conversation, each in a block of its own."""
        return "\n".join(self.block(message.role, words(message)) for message in messages)


def words(said: Message | Candidate) -> str:
    """The text of a turn or of an answer, and the tools that it calls, each as a line of JSON."""
    calls = said.tool_calls if isinstance(said, Candidate) else said.extra.get("tool_calls")
    if not calls:
        return said.text
    named = [call.get("function", call) for call in calls if isinstance(call, Mapping)]
    lines = [json.dumps(call, ensure_ascii=False, default=str) for call in named]
    return "\n".join([said.text, *lines] if said.text else lines)


def recalled(messages: Sequence[Message], characters: int) -> Sequence[Message]:
    """`messages` as they are when they fit in `characters`, their fences included, else the last ones that do.

    The last turn is always there, clipped where it is too long; so is a system turn at the beginning that takes
    less than half.
    """
    latest_first = range(len(messages) - 1, -1, -1)
    told = [0] if messages and messages[0].role in ("system", "developer") else []
    kept: dict[int, Message] = {}
    for n in dict.fromkeys((*(n for n in told if len(words(messages[n])) < characters // 2), *latest_first)):
        text = words(messages[n])
        characters -= FENCE_CHARACTERS
        if n != len(messages) - 1 and len(text) > characters:
            break
        short = clipped(text, max(SHORTEST_SHARE, characters))
        kept[n] = messages[n] if short == text else Message(messages[n].role, short)
        characters -= len(short)
    return [kept[n] for n in sorted(kept)]


def labels(number: int, rng: random.Random, length: int = 1) -> list[str]:
    """`number` different labels in random order, of `length` letters each, or of more where there are too few."""
    while len(_LETTERS) ** length < number:
        length += 1
    return rng.sample(_every_label(length), number)


@cache
def _every_label(length: int) -> Sequence[str]:
    return ["".join(letters) for letters in product(_LETTERS, repeat=length)]


def fitted(texts: Sequence[str], characters: int) -> Sequence[str]:
    """`texts` as they are when they fit together, else each clipped to an equal share of `characters`."""
    if sum(map(len, texts)) <= characters:
        return texts
    return [clipped(text, max(SHORTEST_SHARE, characters // len(texts))) for text in texts]


def clipped(text: str, characters: int) -> str:
    """`text` when it fits, else its beginning and end with a word on what is missing between."""
    if len(text) <= characters:
        return text
    room = max(0, characters - len(_left_out(len(text))))
    head = room - room // 3
    return text[:head] + _left_out(len(text) - room) + (text[-(room - head) :] if room > head else "")


def _left_out(number: int) -> str:
    return f"\n[{number} characters left out]\n"
