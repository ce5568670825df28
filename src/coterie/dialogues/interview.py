"""How the questions of a dialogue are put to a member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from coterie.dialogues.dialogue import UNKNOWN, Dialogue, Question
from coterie.errors import ConfigError
from coterie.types import Message, Request, Sampling

OPEN_BOOK = (
    "Answer each question from the passage, and briefly: in a few words, or in one sentence where that is needed. "
    "Where the passage does not say, answer: unknown"
)
CLOSED_BOOK = "Answer each question briefly: in a few words, or in one sentence where that is needed."

Said = Sequence[str | None]
"""The answers made so far, one a turn; `None` or blank where nobody answered."""


def history(dialogue: Dialogue, turn: int, said: Said | None = None) -> tuple[Message, ...]:
    """What stands before a turn, numbered from 1: each question as a user's, each answer as an assistant's message.

    The answers are the main gold ones, or `said`, those made so far, where it is given. A turn that nobody
    answered stands as ``unknown``: no chat format has room for silence.

    Raises `ConfigError` where there is no such turn, where `said` has not one answer for each turn before it, and
    where a gold answer is needed and there is none.
    """
    dialogue.question(turn)
    before = dialogue.questions[: turn - 1]
    answers = _gold(dialogue, before) if said is None else _own(dialogue, before, said)
    pairs = zip(before, answers, strict=True)
    return tuple(
        message for asked, answer in pairs for message in (Message("user", asked.text), Message("assistant", answer))
    )


@dataclass(frozen=True)
class Interview:
    """A way to ask: the same for every member and every method that are compared.

    The messages of a turn begin with those of the turn before, to the letter, so what an engine or a provider has
    cached of a conversation serves all of its turns. Therefore what holds for the whole conversation stands at its
    head and is not repeated, and a turn's own passages stay with the turn.
    """

    history: Literal["gold", "own"] = "gold"
    """What stands for the earlier answers: the main gold ones, or those that were made (what a user would live)."""
    instruction: str | None = None
    """What opens the conversation; empty for nothing. `None` is `OPEN_BOOK`, or `CLOSED_BOOK` without a passage."""
    closed_book: bool = False
    """Leave out passages, to see what members know by themselves."""
    background: bool = False
    """Show what the asker had read before."""
    place: Literal["user", "system"] = "user"
    """Where the head stands: on top of the first user turn, or in a system message.

    Small models' chat formats differ in what they do with a system message: some have none and refuse it, and
    some move it to the newest user turn, where it changes its place with every turn. All have user turns.
    """

    def __post_init__(self) -> None:
        for name, allowed in (("history", ("gold", "own")), ("place", ("user", "system"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(map(repr, allowed))}, not {getattr(self, name)!r}")

    def messages(self, dialogue: Dialogue, turn: int, said: Said = ()) -> tuple[Message, ...]:
        """What a member reads at a turn, numbered from 1: the head, the history, the question.

        `said` are the answers made so far; a gold history does not look at them. Raises `ConfigError` as `history`
        does.
        """
        before = history(dialogue, turn, None if self.history == "gold" else said)
        head = self._head(dialogue)
        above = head if self.place == "user" else ""
        asked = (
            Message("user", self._asked(question, "" if n else above))
            for n, question in enumerate(dialogue.questions[:turn])
        )
        talk = [message for pair in zip_longest(asked, before[1::2]) for message in pair if message]
        return (Message("system", head), *talk) if head and not above else tuple(talk)

    def request(self, dialogue: Dialogue, turn: int, said: Said = (), sampling: Sampling = Sampling()) -> Request:
        """`messages` as a request."""
        return Request(self.messages(dialogue, turn, said), sampling)

    def _head(self, dialogue: Dialogue) -> str:
        """What holds for the whole conversation."""
        closed = self.closed_book or dialogue.closed_book
        instruction = (CLOSED_BOOK if closed else OPEN_BOOK) if self.instruction is None else self.instruction
        parts = (
            instruction.strip(),
            dialogue.title and f"Topic: {dialogue.title}",
            self.background and dialogue.background and f"Background:\n{dialogue.background}",
            not self.closed_book and dialogue.passage and f"Passage:\n{dialogue.passage}",
        )
        return "\n\n".join(part for part in parts if part)

    def _asked(self, question: Question, above: str) -> str:
        """A question under what is above it, and under the passages of its own."""
        passages = ("Passages:", *question.passages) if question.passages and not self.closed_book else ()
        shown = [above, *passages] if above else [*passages]
        return "\n\n".join([*shown, f"Question: {question.text}"]) if shown else question.text


def _gold(dialogue: Dialogue, before: Sequence[Question]) -> list[str]:
    if unanswered := [n for n, question in enumerate(before, 1) if not question.answers]:
        raise ConfigError(
            f"turn {unanswered[0]} of {dialogue.id!r} of {dialogue.dataset!r} has no gold answer to go on from: "
            "ask with the answers that were made"
        )
    return [question.answers[0] for question in before]


def _own(dialogue: Dialogue, before: Sequence[Question], said: Said) -> list[str]:
    if len(said) != len(before):
        raise ConfigError(
            f"turn {len(before) + 1} of {dialogue.id!r} of {dialogue.dataset!r} goes on from {len(before)} answers, "
            f"and {len(said)} were given"
        )
    return [answer if answer and answer.strip() else UNKNOWN for answer in said]
