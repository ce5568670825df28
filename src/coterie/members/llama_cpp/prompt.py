"""A request as the tokens that one model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from coterie.members.llama_cpp.template import ChatTemplate
from coterie.members.llama_cpp.vocabulary import Vocabulary
from coterie.members.prompting import FewShot
from coterie.types import Message, Request


@dataclass(frozen=True)
class Prompt:
    """What the model reads before it writes."""

    tokens: tuple[int, ...]
    stop: tuple[str, ...] = ()
    """Stop strings of the form itself, beside the request's."""
    lead: str = ""
    """What stands between the prompt and an answer: it goes before a text to score, and off a written one."""


class Form(Protocol):
    """A way to put requests to a model. It may wait for the engine: call it off the event loop."""

    def prompt(self, request: Request, vocabulary: Vocabulary) -> Prompt: ...


@dataclass(frozen=True)
class Chat:
    """Through the model's own chat template."""

    template: ChatTemplate
    system: str = ""
    """Put first where the request brings no system message of its own."""

    def prompt(self, request: Request, vocabulary: Vocabulary) -> Prompt:
        messages = request.messages
        if self.system and not any(m.role in {"system", "developer"} for m in messages):
            messages = (Message("system", self.system), *messages)
        tokens: list[int] = []
        for piece in self.template.fill(messages):
            tokens += vocabulary.encode(piece.text, markup=piece.markup)
        tokens += vocabulary.encode(request.prefix)
        return Prompt(_begun(tokens, vocabulary))


@dataclass(frozen=True)
class Examples:
    """As a transcript of questions and answers, all of it plain text."""

    few_shot: FewShot
    system: str = ""

    def prompt(self, request: Request, vocabulary: Vocabulary) -> Prompt:
        transcript = self.few_shot.prompt(request, self.system)
        tokens = _begun(vocabulary.encode(transcript.text), vocabulary)
        return Prompt(tokens, transcript.stop, "" if transcript.begun else " ")


def _begun(tokens: list[int], vocabulary: Vocabulary) -> tuple[int, ...]:
    """`tokens` after the model's BOS token, which many templates write themselves: once, never twice."""
    begin = vocabulary.begin
    return tuple(tokens) if tuple(tokens[: len(begin)]) == begin else (*begin, *tokens)
