"""A model's own chat template, filled so that what people and models wrote stays text.

The template is rendered with unguessable marks where the contents belong, and cut at the marks. Its
own pieces are then tokenised with control tokens, the contents without: ``<|im_end|>`` in a message
is eight characters and ends nothing.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError, MemberError, MissingExtra
from coterie.types import FailureKind, Message

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class Piece:
    """A stretch of a prompt."""

    text: str
    markup: bool
    """True for the template's own words, in which control tokens are meant."""


class _Mangled(Exception):
    """The template did something to a content other than putting it in its place."""


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template as a GGUF file carries it."""

    source: str
    bos: str = ""
    eos: str = ""

    def check(self) -> None:
        """Return when the template can be used. Raises `MissingExtra`, or `ConfigError` for what is no template."""
        try:
            import jinja2
        except ImportError as error:
            raise MissingExtra("the chat template of a local model", "local", "jinja2") from error
        try:
            _ = self._compiled
        except jinja2.TemplateError as error:
            raise ConfigError(
                f"the model's chat template cannot be used ({error}): set prompting to 'few_shot'"
            ) from error

    def fill(self, messages: Sequence[Message]) -> list[Piece]:
        """The conversation up to where the assistant begins. Raises `MemberError` when the template refuses it."""
        import jinja2

        turns = [_turn(message) for message in messages]
        refused: Exception | None = None
        # Some templates know no system role: there the instructions stand before the first question.
        for attempt in (turns, _system_in_first_turn(turns)):
            try:
                return self._cut(attempt)
            except _Mangled:
                return self._defused(attempt)
            except (jinja2.TemplateError, TypeError, ValueError, LookupError) as error:
                refused = refused or error
        raise MemberError(
            f"the model's chat template refuses a conversation of {[t['role'] for t in turns]!r}: {refused}",
            FailureKind.UNAVAILABLE,
        )

    def _cut(self, turns: Sequence[dict[str, str]]) -> list[Piece]:
        nonce = f"x{secrets.token_hex(16)}n"
        marked = [{**turn, "content": f"{nonce}{index}e"} for index, turn in enumerate(turns)]
        parts = re.split(f"{nonce}(\\d+)e", self._render(marked))
        if parts[1::2] != [str(index) for index in range(len(turns))] or nonce in "".join(parts):
            raise _Mangled
        pieces: list[Piece] = []
        for index, text in enumerate(parts):
            pieces.append(Piece(text, True) if index % 2 == 0 else Piece(turns[int(text)]["content"], False))
        return [piece for piece in pieces if piece.text]

    def _defused(self, turns: Sequence[dict[str, str]]) -> list[Piece]:
        """For templates that look into the contents or drop some: rendered with them in place.

        Then template and contents cannot be told apart, so what looks like a control token in a content is
        broken up with a space. That changes the text a little, and is the lesser evil.
        """
        broken = [{**turn, "content": broken_up(turn["content"])} for turn in turns]
        return [Piece(self._render(broken), True)]

    def _render(self, turns: Sequence[dict[str, str]]) -> str:
        return self._compiled.render(
            messages=turns, add_generation_prompt=True, bos_token=self.bos, eos_token=self.eos, tools=None
        )

    @cached_property
    def _compiled(self) -> jinja2.Template:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise TemplateError(message)

        # A template comes with a file from anywhere, hence the sandbox. It makes prompts, not HTML.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        return environment.from_string(self.source)


def broken_up(text: str) -> str:
    """`text` in which nothing reads as a control token any more: ``<|end|>`` becomes ``< |end|>``."""
    text = re.sub(r"<(?=[|/\w])", "< ", text)
    return re.sub(r"\[(?=/?[A-Z_]+\])", "[ ", text)


def _turn(message: Message) -> dict[str, str]:
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": message.text}


def _system_in_first_turn(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    said = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [turn for turn in turns if turn["role"] != "system"]
    if not said or not rest:
        return list(turns)
    first = {**rest[0], "content": "\n\n".join((*said, rest[0]["content"]))}
    return [first, *rest[1:]]


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
