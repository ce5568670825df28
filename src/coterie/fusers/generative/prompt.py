"""The generative fuser's prompt, to the letter as the published fusers were trained on it, within its budgets.

Where a text is too long, candidates are cut first, all alike, then the input; never the closing
instruction, which a plain truncation of the whole prompt would lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CLOSING = "Summarize candidates into a better one for the given instruction:"

CUT = "..."
"""Stands behind a candidate that was cut."""


@dataclass(frozen=True)
class FuserPrompt:
    """A prompt and what it took to make it fit."""

    text: str
    ids: tuple[int, ...]
    candidates_cut: int = 0
    input_cut: bool = False


@dataclass(frozen=True)
class Budgets:
    """How much of what the fuser reads, in its own tokens."""

    prompt_tokens: int = 1024
    candidate_tokens: int = 128


STANDARD = Budgets()


def build(
    tokenizer: Any, instruction: str, input_: str, candidates: Sequence[str], budgets: Budgets = STANDARD
) -> FuserPrompt:
    """The prompt for one input, its candidates best first, with ids of at most `prompt_tokens`."""
    room = budgets.candidate_tokens
    cut_texts = [_cut(tokenizer, text, room) for text in candidates]
    text = compose(instruction, input_, cut_texts)
    ids = _ids(tokenizer, text)
    while len(ids) > budgets.prompt_tokens and room > 8 and candidates:
        over = len(ids) - budgets.prompt_tokens
        room = max(8, min(room - 1, room - -(-over // len(candidates))))
        cut_texts = [_cut(tokenizer, text, room) for text in candidates]
        text = compose(instruction, input_, cut_texts)
        ids = _ids(tokenizer, text)
    cut = sum(after != before for after, before in zip(cut_texts, candidates, strict=True))
    if len(ids) <= budgets.prompt_tokens:
        return FuserPrompt(text, ids, cut)
    shorter = _shortened(tokenizer, input_, len(ids) - budgets.prompt_tokens)
    text = compose(instruction, shorter, cut_texts)
    return FuserPrompt(text, _ids(tokenizer, text), cut, input_cut=True)


def compose(instruction: str, input_: str, candidates: Sequence[str]) -> str:
    """The prompt as one string; ``</s>`` is the tokenizer's own end-of-sequence piece."""
    blocks = [f"Instruction: {instruction}", f"Input: {input_}"]
    blocks += [f"Candidate {n}: <extra_id_{n}>:{text}" for n, text in enumerate(candidates)]
    return "</s>".join([*blocks, CLOSING])


def _cut(tokenizer: Any, text: str, tokens: int) -> str:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) <= tokens:
        return text
    kept: str = tokenizer.decode(ids[:tokens], skip_special_tokens=True)
    return kept + CUT


def _shortened(tokenizer: Any, text: str, by_tokens: int) -> str:
    """`text` without its last `by_tokens` tokens, and some for what decoding changes."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    kept: str = tokenizer.decode(ids[: max(0, len(ids) - by_tokens - 8)], skip_special_tokens=True)
    return kept


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
