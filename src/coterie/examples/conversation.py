"""Conversations as LLM-Blender's rankers were trained to read them."""

from __future__ import annotations

from collections.abc import Sequence

INSTRUCTION = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""The typo stands in the text that the published ranker was trained on."""


def asked(user_turns: Sequence[str]) -> str:
    """The input: the user's turns, with a numbered gap for each answer."""
    return "\n".join(f"USER: {said}\nAssistant: <Response {n}>" for n, said in enumerate(user_turns, 1))


def answered(responses: Sequence[str]) -> str:
    """The candidate: what fills the gaps."""
    return "\n".join(f"<Response {n}>: {text}" for n, text in enumerate(responses, 1))
