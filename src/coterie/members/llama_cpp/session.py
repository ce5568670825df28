"""A token-level session on one model's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from coterie.errors import MemberError
from coterie.members.llama_cpp.context import Context
from coterie.members.llama_cpp.engine import LlamaEngine
from coterie.types import FailureKind, TextScore


class LlamaSession:
    """One text being read. Several sessions may be open on one model: each has a KV cache of its own."""

    def __init__(self, engine: LlamaEngine, context: Context) -> None:
        self._engine = engine
        self._context = context
        self._vocabulary = engine.native.vocabulary

    @property
    def tokens(self) -> Sequence[int]:
        return self._context.tokens

    async def feed(self, tokens: Sequence[int]) -> None:
        await self._engine.work(lambda stopped: self._context.feed(tokens, stopped))

    async def rollback(self, length: int) -> None:
        await self._engine.work(lambda _: self._context.rollback(length))

    async def next(self) -> Sequence[float]:
        row = await self._engine.work(lambda _: self._context.logprobs())
        # An array has all that is asked of a sequence here, and a list of 262,144 floats helps nobody.
        return cast("Sequence[float]", row)

    async def score(self, text: str) -> TextScore:
        tokens = self.encode(text)
        if not tokens:
            raise MemberError("an empty text has no log-probability", FailureKind.UNAVAILABLE)
        logprob = await self._engine.work(lambda stopped: self._context.score(tokens, stopped))
        return TextScore(logprob, len(tokens))

    def encode(self, text: str) -> Sequence[int]:
        return self._vocabulary.encode(text)

    def decode(self, tokens: Sequence[int]) -> bytes:
        return self._vocabulary.decode(tokens)
