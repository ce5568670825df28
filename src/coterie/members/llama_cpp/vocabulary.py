"""What text is in tokens: through the native library, or through the engine's own loopback port without it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coterie.types import Json, Secret


class Vocabulary(Protocol):
    """The tokens of one model. Its methods may wait for the engine: call them off the event loop."""

    @property
    def template(self) -> str | None:
        """The model's own chat template (Jinja), or ``None``."""
        ...

    @property
    def bos(self) -> str:
        """The text of the token that begins a sequence; empty when there is none."""
        ...

    @property
    def eos(self) -> str: ...

    @property
    def begin(self) -> tuple[int, ...]:
        """What every prompt of this model begins with: its BOS token, or nothing."""
        ...

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        """Tokens of `text`. Only with `markup` do control tokens' names in it become control tokens."""
        ...


@dataclass(frozen=True)
class NativeVocabulary:
    """The vocabulary of a model that the native library has loaded."""

    library: Any
    vocab: int
    template: str | None

    @property
    def size(self) -> int:
        """Number of tokens."""
        return int(self.library.llama_vocab_n_tokens(self.vocab))

    @property
    def bos(self) -> str:
        return self._name(self.library.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        return self._name(self.library.llama_vocab_eos(self.vocab))

    @property
    def begin(self) -> tuple[int, ...]:
        if not self.library.llama_vocab_get_add_bos(self.vocab):
            return ()
        return (int(self.library.llama_vocab_bos(self.vocab)),)

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        import ctypes

        # Half a surrogate pair is no character: it cannot be said in UTF-8.
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = self.library.llama_tokenize(self.vocab, data, len(data), tokens, room, False, markup)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`; control tokens have none."""
        return b"".join(self._piece(token) for token in tokens)

    def ends(self, token: int) -> bool:
        """True for the tokens with which the model ends its turn."""
        return bool(self.library.llama_vocab_is_eog(self.vocab, token))

    def _piece(self, token: int) -> bytes:
        import ctypes

        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self.library.llama_token_to_piece(self.vocab, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def _name(self, token: int) -> str:
        return "" if token < 0 else self.library.llama_vocab_get_text(self.vocab, token).decode()


class ServerVocabulary:
    """The vocabulary as the engine's server tells it. Slower, and without bytes; it serves where nothing else does."""

    def __init__(self, address: str, key: Secret) -> None:
        self._host = address.removeprefix("http://")
        self._key = key
        props = self._ask("GET", "/props")
        self.bos = str(props.get("bos_token") or "")
        self.eos = str(props.get("eos_token") or "")
        self.begin: tuple[int, ...] = tuple(self._tokens("", special=True, markup=True))
        self.template = self._own(props.get("chat_template"))

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        return self._tokens(text, special=False, markup=markup) if text else []

    def _own(self, template: str | None) -> str | None:
        """The server lends a model without a template the ChatML one, whose marks then are no tokens of the model."""
        mark = "<|im_start|>"
        if template and mark in template and len(self.encode(mark, markup=True)) > 1:
            return None
        return template or None

    def _tokens(self, text: str, *, special: bool, markup: bool) -> list[int]:
        text = text.encode("utf-8", errors="replace").decode()
        body = {"content": text, "add_special": special, "parse_special": markup}
        return [int(token) for token in self._ask("POST", "/tokenize", body)["tokens"]]

    def _ask(self, verb: str, path: str, body: Json = None) -> dict[str, Json]:
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self._key.reveal()}", "Content-Type": "application/json"}
            connection.request(verb, path, None if body is None else json.dumps(body), headers)
            answer: dict[str, Json] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()
