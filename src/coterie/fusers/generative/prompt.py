"""What a generative fuser is told, in its two styles, within its budgets.

`genfuser` is the published fusers' prompt, to the letter as they were trained on it (2306.02561, section 4).
`chat` says the same parts in one user message, with empty lines for T5's own pieces, for models that have a
chat template. Where a text is too long, candidates are cut first, all alike, then the input, then the
instruction, and then the last candidates are left out; never the closing instruction, which a plain
truncation of the whole prompt would lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from coterie.quoting import CHARACTERS_A_TOKEN
from coterie.types import Message

Style = Literal["genfuser", "chat"]
WantedStyle = Literal["auto", "genfuser", "chat"]
"""`auto` is by the model's kind: `chat` for one that only decodes and has a chat template, else `genfuser`."""

CLOSING = "Summarize candidates into a better one for the given instruction:"

CUT = "..."
"""Stands behind a candidate that was cut."""

SHORTEST = 8
"""Tokens that a candidate keeps when the others are given up."""

SLACK = 8
"""Tokens that are cut on top, since a text that was cut may be read as other tokens than before."""


@dataclass(frozen=True)
class Told:
    """What a fuser is told."""

    instruction: str
    input: str
    candidates: tuple[str, ...]

    def text(self, style: Style) -> str:
        """All of it as one string; in the style `genfuser` ``</s>`` is the tokenizer's own end-of-sequence piece."""
        lead = [f"Instruction: {self.instruction}", f"Input: {self.input}"]
        if style == "genfuser":
            numbered = [f"Candidate {n}: <extra_id_{n}>:{text}" for n, text in enumerate(self.candidates)]
            return "</s>".join([*lead, *numbered, CLOSING])
        return "\n\n".join([*lead, *(f"Candidate {n}: {text}" for n, text in enumerate(self.candidates)), CLOSING])


@dataclass(frozen=True)
class FuserPrompt:
    """A prompt and what it took to make it fit."""

    text: str
    """In the style `chat` it is the user's message."""
    ids: tuple[int, ...] = ()
    """What the model reads, its chat template included; empty where a member reads the text."""
    candidates_cut: int = 0
    candidates_left_out: int = 0
    input_cut: bool = False


@dataclass(frozen=True)
class Budgets:
    """How much of what the fuser reads, in its own tokens."""

    prompt_tokens: int = 1024
    candidate_tokens: int = 128


STANDARD = Budgets()


class Reader(Protocol):
    """Who is to read a prompt: it says how long texts are, and cuts them."""

    @property
    def style(self) -> Style: ...

    @property
    def overhead(self) -> int:
        """Tokens around every prompt."""
        ...

    def size(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def first(self, text: str, tokens: int) -> str:
        """The beginning of a text: about so many of its tokens."""
        ...

    def ids(self, text: str) -> tuple[int, ...]:
        """What the model reads when it is told `text`."""
        ...


class ByCharacters:
    """A reader whose tokenizer is not at hand: its tokens are estimated, as few characters as surely fit one."""

    style: Style = "chat"
    overhead = 0

    def size(self, text: str) -> int:
        return -(-len(text) // CHARACTERS_A_TOKEN)

    def first(self, text: str, tokens: int) -> str:
        return text[: tokens * CHARACTERS_A_TOKEN]

    def ids(self, text: str) -> tuple[int, ...]:  # noqa: ARG002
        return ()


def told(messages: Sequence[Message], candidates: Sequence[str]) -> Told:
    """What a conversation tells: system text is the instruction, and turns are the input, a single one plainly."""
    instruction = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    turns = [m for m in messages if m.role not in ("system", "developer")]
    asked = turns[0].text if len(turns) == 1 else "\n".join(f"{m.role.upper()}: {m.text}" for m in turns)
    return Told(instruction, asked, tuple(candidates))


def build(reader: Reader, said: Told, budgets: Budgets = STANDARD) -> FuserPrompt:
    """The prompt for what is said, its candidates best first, of at most `prompt_tokens`.

    It is longer only where not even the closing instruction fits.
    """
    made, candidates = _with_shorter_candidates(reader, said, budgets)
    shorter = made
    if over := _over(reader, shorter, budgets):
        shorter = replace(shorter, input=_without_the_last(reader, shorter.input, over))
    if over := _over(reader, shorter, budgets):
        shorter = replace(shorter, instruction=_without_the_last(reader, shorter.instruction, over))
    while shorter.candidates and _over(reader, shorter, budgets):
        shorter = replace(shorter, candidates=shorter.candidates[:-1])
    text = shorter.text(reader.style)
    return FuserPrompt(
        text,
        reader.ids(text),
        candidates,
        len(said.candidates) - len(shorter.candidates),
        (shorter.instruction, shorter.input) != (said.instruction, said.input),
    )


def _with_shorter_candidates(reader: Reader, said: Told, budgets: Budgets) -> tuple[Told, int]:
    """`said` with each candidate within its budget, and within less where that makes the whole fit; how many were."""
    room = budgets.candidate_tokens
    made = _clipped(reader, said, room)
    while room > SHORTEST and said.candidates and (over := _over(reader, made, budgets)):
        room = max(SHORTEST, min(room - 1, room - -(-over // len(said.candidates))))
        made = _clipped(reader, said, room)
    cut = sum(after != before for after, before in zip(made.candidates, said.candidates, strict=True))
    return made, cut


def _clipped(reader: Reader, said: Told, room: int) -> Told:
    shorter = (text if reader.size(text) <= room else reader.first(text, room) + CUT for text in said.candidates)
    return replace(said, candidates=tuple(shorter))


def _over(reader: Reader, said: Told, budgets: Budgets) -> int:
    """Tokens too many; 0 when it fits."""
    return max(0, reader.overhead + reader.size(said.text(reader.style)) - budgets.prompt_tokens)


def _without_the_last(reader: Reader, text: str, tokens: int) -> str:
    return reader.first(text, max(0, reader.size(text) - tokens - SLACK))
