"""A conversation as the prompt of a base model: a transcript of questions and answers to go on with.

Pure functions. A base model has seen no chat template; shown a few answered questions, it answers
the next one. The transcript's own marks are line starts, and no text that stands in it can begin a
line at the margin, so that a question cannot fake a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coterie.types import Message, Request

Prompting = Literal["chat", "few_shot"]
"""Through the model's own chat template, or as a transcript of questions and answers."""

Shot = tuple[str, str]
"""A question and its answer."""

SHOTS: tuple[Shot, ...] = (
    ("What is the largest planet of our solar system?", "Jupiter is the largest planet of our solar system."),
    ("Who wrote Romeo and Juliet?", "William Shakespeare wrote Romeo and Juliet."),
    ("What is water made of?", "Water is made of hydrogen and oxygen."),
    ("How many days are there in a week?", "There are seven days in a week."),
    ("Which animal is known as the king of the jungle?", "The lion is known as the king of the jungle."),
)
"""Short general knowledge, which shows the form and the length of an answer."""

QUESTION = "Question:"
ANSWER = "Answer:"
STOPS: tuple[str, ...] = (QUESTION, "\n\n")
"""Where the answer ends and the model would go on to ask itself the next question."""


@dataclass(frozen=True)
class Transcript:
    """A prompt for plain completion, and how its continuation becomes an answer."""

    text: str
    stop: tuple[str, ...]
    """The transcript's own stop strings, to be added to the request's."""
    begun: bool
    """True when the text ends inside the answer: the continuation is taken as it is.

    Otherwise it ends in ``Answer:``, and a continuation begins with a space that is no part of the answer.
    """


@dataclass(frozen=True)
class FewShot:
    """The form of a transcript."""

    shots: tuple[Shot, ...] | None = None
    """Examples that stand before the conversation; ``None`` for `SHOTS`."""

    def prompt(self, request: Request, system: str = "") -> Transcript:
        """The transcript up to where the answer to `request` begins, the request's prefix included.

        System turns (else `system`) stand on top, then the shots, then the earlier turns as pairs.
        """
        instructions = [m.text for m in request.messages if _instructs(m)] or [system]
        *earlier, (question, answer) = _history(request.messages) or [("", "")]
        blocks = [_kept_in(text, at_margin=True) for text in instructions if text.strip()]
        for asked, said in (*(SHOTS if self.shots is None else self.shots), *earlier):
            blocks.append(f"{_turn(asked)} {_kept_in(said)}")
        begun = f"{answer}{request.prefix}"
        blocks.append(f"{_turn(question)}{_begun(begun)}")
        # A schema ends the text by itself, and its strings may hold anything.
        return Transcript("\n\n".join(blocks), () if request.schema else STOPS, bool(begun))


def _instructs(message: Message) -> bool:
    return message.role in {"system", "developer"}


def _history(messages: Sequence[Message]) -> list[Shot]:
    """Turns as pairs; the last one's answer is empty, or is the begun answer that the conversation ends in."""
    pairs: list[Shot] = []
    for message in messages:
        if _instructs(message):
            continue
        if message.role != "assistant":
            # Two questions in a row are one: a pair without an answer would teach the model to give none.
            if pairs and not pairs[-1][1]:
                pairs[-1] = (f"{pairs[-1][0]}\n{message.text}", "")
            else:
                pairs.append((message.text, ""))
        elif pairs:
            question, answer = pairs[-1]
            pairs[-1] = (question, f"{answer}\n{message.text}" if answer else message.text)
    return pairs


def _turn(question: str) -> str:
    return f"{QUESTION} {_kept_in(question)}\n{ANSWER}"


def _begun(answer: str) -> str:
    """A fixed beginning, character by character as it is, since the model goes on right where it stops.

    Only a line in it that would begin a turn is indented: other models may have written it.
    """
    if not answer:
        return ""
    for mark in (QUESTION, ANSWER):
        answer = answer.replace(f"\n{mark}", f"\n  {mark}")
    return answer if answer[0].isspace() else f" {answer}"


def _kept_in(text: str, *, at_margin: bool = False) -> str:
    """`text` with empty lines dropped and further lines indented, so that it ends no block and begins no turn."""
    lines = [line.strip() for line in text.splitlines()]
    kept = "\n  ".join(line for line in lines if line)
    return f"  {kept}" if at_margin and kept.startswith((QUESTION, ANSWER)) else kept
