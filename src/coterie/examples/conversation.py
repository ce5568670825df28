"""Conversations as rankers read them: as what a candidate answers, or whole, as a candidate.

Whole conversations are read in the format LLM-Blender's rankers were trained on: the users' turns are the
input, with a numbered gap in the place of each answer; the answers, numbered alike, are the candidate. So two
conversations with the same users' turns are a pair like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coterie.errors import ConfigError
from coterie.types import Json, Message

INSTRUCTION = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""The typo stands in the text that the published ranker was trained on."""

Turn = Message | Mapping[str, Json]
"""A message, or a mapping with ``role`` and ``content`` (words, or the content parts of the OpenAI convention)."""


def source_of(turns: Sequence[Turn]) -> str:
    """What the candidates answer: a single question as it is; a conversation as its turns, system text first.

    Instruction and input stand together without a separator, as the published rankers were trained.
    """
    read = [_turn(turn) for turn in turns]
    instructions = "".join(text for role, text in read if role in ("SYSTEM", "DEVELOPER"))
    said = [(role, text) for role, text in read if role not in ("SYSTEM", "DEVELOPER")]
    if len(said) == 1:
        return instructions + said[0][1]
    return instructions + "\n".join(f"{role}: {text}" for role, text in said)


def asked(user_turns: Sequence[str]) -> str:
    """The input: the user's turns, with a numbered gap for each answer."""
    return "\n".join(f"USER: {said}\nAssistant: <Response {n}>" for n, said in enumerate(user_turns, 1))


def answered(responses: Sequence[str]) -> str:
    """The candidate: what fills the gaps."""
    return "\n".join(f"<Response {n}>: {text}" for n, text in enumerate(responses, 1))


def paired(a: Sequence[Turn], b: Sequence[Turn]) -> tuple[str, str, str]:
    """What two conversations answer, instruction included, and the answers of each.

    Raises `ConfigError` where user and assistant do not take turns, or the users' turns differ.
    """
    (users, of_a), (others, of_b) = _split(a), _split(b)
    if users != others:
        raise ConfigError("two conversations can be compared only when their USER turns are the same")
    return INSTRUCTION + asked(users), answered(of_a), answered(of_b)


def _split(conversation: Sequence[Turn]) -> tuple[list[str], list[str]]:
    """The user's turns, and the answers to them."""
    turns = [_turn(turn) for turn in conversation]
    roles = [role for role, _ in turns]
    if not roles or roles != ["USER", "ASSISTANT"] * (len(roles) // 2):
        raise ConfigError(f"a conversation alternates USER and ASSISTANT and ends with ASSISTANT; this has {roles!r}")
    texts = [text for _, text in turns]
    return texts[::2], texts[1::2]


def _turn(turn: Turn) -> tuple[str, str]:
    """The speaker in capitals, and the words."""
    if isinstance(turn, Message):
        return turn.role.upper(), turn.text
    try:
        role, content = str(turn["role"]).upper(), turn["content"]
    except (KeyError, TypeError):
        raise ConfigError(f"a turn has a role and a content, which {turn!r:.80} has not") from None
    if isinstance(content, str | None):
        return role, content or ""
    return role, Message("user", tuple(content)).text
