"""How a language model is asked to foretell an answer's rating: the prompt of RouteLLM's causal LLM (2406.18665).

Published weights read their own system prompt to the letter, which is not reproduced here: give its text. The one below
is ours, for what is trained here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coterie.errors import ConfigError

SYSTEM = (
    "You foretell how an expert would rate an AI assistant's answer to a question, before the answer is written. "
    "A rating of 5 or 4 means the assistant answers well, 3 that the answer is acceptable, 2 or 1 that the assistant "
    "has trouble with the question. Reply with the rating alone, in double square brackets: from [[1]] to [[5]]."
)
"""The wording of this library's own training."""

USER = "[Question]\n{question}\n\nPrediction:"
"""RouteLLM's, as published weights were trained on it."""

MEMBERS_USER = "[Assistant]\n{member}\n\n[Question]\n{question}\n\nPrediction:"
"""Where there are several weak members: it says whose answer is meant."""


@dataclass(frozen=True)
class RatingPrompt:
    """The texts around a question."""

    system: str = SYSTEM
    user: str = USER
    """With ``{question}``, and ``{member}`` where the member's name is to be told."""

    def __post_init__(self) -> None:
        if "{question}" not in self.user:
            raise ConfigError(f"the user prompt needs '{{question}}', and is {self.user!r}")

    def text(self, tokenizer: Any, question: str, member: str) -> str:
        """The whole prompt: in the tokenizer's chat template, or system and user text where it has none.

        What the tokenizer's added pieces spell is left out of the question, so that none ends its own turn.
        """
        for piece in tokenizer.get_added_vocab():
            question = question.replace(piece, " ")
        said = self.user.replace("{member}", member, 1) if "{member}" in self.user else self.user
        before, _, after = said.partition("{question}")
        user = before + question + after
        if not tokenizer.chat_template:
            return f"{self.system}\n\n{user}" if self.system else user
        turns = [{"role": "user", "content": user}]
        if self.system:
            turns.insert(0, {"role": "system", "content": self.system})
        whole: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return whole
