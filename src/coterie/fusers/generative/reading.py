"""How tokenizers read a fuser's prompt."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from coterie.errors import ConfigError
from coterie.fusers.generative.prompt import Reader, Style

KEPT_TEXTS = 16
"""Texts whose tokens are remembered: fitting a prompt asks for the same ones again and again."""


def reader(tokenizer: Any, style: Style) -> Reader:
    """Who reads prompts of `style` with `tokenizer`. Raises `ConfigError` for a template that cannot be used."""
    return PieceReader(tokenizer) if style == "genfuser" else ChatReader(tokenizer)


def style_of(tokenizer: Any, *, encodes: bool) -> Style:
    """The style a model is prompted in unless told otherwise: `chat` for one that only decodes, through a template."""
    return "chat" if not encodes and getattr(tokenizer, "chat_template", None) else "genfuser"


def end_of(tokenizer: Any, style: Style) -> int | None:
    """The token that ends what a model writes: in a chat what its template puts behind an answer, else the tokenizer's.

    A tokenizer that was read out of a GGUF file may name another end than its own template.
    """
    eos: int | None = tokenizer.eos_token_id
    if style == "genfuser" or not getattr(tokenizer, "chat_template", None):
        return eos
    mark = f"x{secrets.token_hex(16)}x"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
    _, _, behind = _rendered(tokenizer, turns).partition(mark)
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"]
    control = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return int(ids[0]) if ids and ids[0] in control else eos


class PieceReader:
    """Reads the whole prompt at once, as the published fusers do."""

    style: Style = "genfuser"
    overhead = 0

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.ids = lru_cache(KEPT_TEXTS)(self._ids)

    def size(self, text: str) -> int:
        return len(self.ids(text))

    def first(self, text: str, tokens: int) -> str:
        kept: str = self._tokenizer.decode(self.ids(text)[:tokens], skip_special_tokens=True)
        return kept

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])


class ChatReader:
    """Reads the prompt as a user's message between the pieces of the model's own chat template.

    The template is rendered once, with an unguessable mark for the message. Its own pieces are read with
    control tokens, every message without: ``<|im_end|>`` in a candidate is text and ends nothing.
    """

    style: Style = "chat"

    def __init__(self, tokenizer: Any) -> None:
        self._head, self._tail = (
            tuple(tokenizer(part, add_special_tokens=False)["input_ids"]) for part in _around(tokenizer)
        )
        self._words = PlainReading(tokenizer, also_control=(*self._head, *self._tail))

    @property
    def overhead(self) -> int:
        return len(self._head) + len(self._tail)

    def size(self, text: str) -> int:
        return len(self._words(text))

    def first(self, text: str, tokens: int) -> str:
        return self._words.text(self._words(text)[:tokens])

    def ids(self, text: str) -> tuple[int, ...]:
        return (*self._head, *self._words(text), *self._tail)


class PlainReading:
    """Reads texts as words alone: no text becomes a control token, whatever it spells."""

    def __init__(self, tokenizer: Any, also_control: Iterable[int] = ()) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)  # the switch below belongs to the whole tokenizer, not to a call
        added = set(tokenizer.get_added_vocab().values())
        control = set(tokenizer.all_special_ids) | (added & set(also_control))
        control.discard(tokenizer.unk_token_id)  # that is how words are read that the vocabulary lacks
        self._control = {id_: str(tokenizer.convert_ids_to_tokens(id_)) for id_ in control}
        self._known = lru_cache(KEPT_TEXTS)(self._read)

    def __call__(self, text: str) -> tuple[int, ...]:
        """The ids of `text`, without any that stand around it."""
        return self._known(text)

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids, without the beginning of a character at its end."""
        text: str = self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text.rstrip("\N{REPLACEMENT CHARACTER}")

    def _read(self, text: str) -> tuple[int, ...]:
        ids = self._ids(text)
        if not any(id_ in self._control for id_ in ids):
            return ids
        # Some vocabularies hold control tokens as words too, and some templates mark turns with pieces that their
        # tokenizer does not call special. Those are broken up.
        for piece in self._control.values():
            text = text.replace(piece, f"{piece[:1]} {piece[1:]}")
        return self._ids(text)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _around(tokenizer: Any) -> tuple[str, str]:
    """What the chat template puts before a user's message, and between it and the answer."""
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError("this model has no chat template, so it cannot be prompted in the style 'chat'")
    mark = f"x{secrets.token_hex(16)}x"
    rendered = _rendered(tokenizer, [{"role": "user", "content": mark}], add_generation_prompt=True)
    head, found, tail = rendered.partition(mark)
    if not found or mark in tail:
        raise ConfigError(f"the model's chat template does not say a message once and as it is: {rendered!r:.200}")
    return head, tail


def _rendered(tokenizer: Any, turns: Sequence[dict[str, str]], **settings: Any) -> str:
    """Turns as the model's chat template puts them. Raises `ConfigError` for a template that cannot."""
    from jinja2 import TemplateError

    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **settings))
    except (TemplateError, ValueError, TypeError, LookupError) as error:
        raise ConfigError(f"the model's chat template cannot be used: {error}") from error
