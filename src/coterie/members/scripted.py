"""The test double, shipped: a member that says what it is told to, when it is told to.

It serves where determinism is the point: tests, documentation, simulations. Everything a real
member can do, and everything that can go wrong with one, can be scripted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from coterie.errors import ConfigError, MemberError
from coterie.protocols import Emit, House
from coterie.types import (
    BallotMode,
    Capability,
    Card,
    Completion,
    FailureKind,
    Price,
    Request,
    Scores,
    TextScore,
    TokenLogprob,
    Usage,
)


@dataclass(frozen=True)
class Reply:
    """One scripted answer."""

    text: str = ""
    latency_s: float = 0.0
    """Seconds until the first piece."""
    pieces: int = 1
    """Into how many pieces the text is cut when it is streamed."""
    piece_s: float = 0.0
    """Seconds between pieces."""
    fail: FailureKind | None = None
    """Fail so, after the text was streamed."""
    error: str = "scripted failure"
    retry_after_s: float | None = None
    """With `fail`: the failure may be retried after so many seconds."""
    hang: bool = False
    """Never end, after the text was streamed."""
    output_tokens: int | None = None
    """As reported; counted in words where left out."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish_reason: str = "stop"


Script = Callable[[Request, int], "Reply | str"]
"""Takes the request and the number of the call (from 0); gives the reply."""


@dataclass(frozen=True)
class ScriptedMember:
    """A member that answers from a script."""

    name: str
    replies: tuple[Reply | str, ...] = ()
    """In turn; the last one is repeated."""
    script: Script | None = field(default=None, metadata={"code_only": True})
    """Used instead of `replies` where given."""
    likelihoods: Mapping[str, float] | None = field(default=None, hash=False)
    """Log-probability a token of given texts; -10 for any other text. Where left out, it cannot score texts."""
    distributions: Callable[[str], Mapping[str, float]] | None = field(default=None, metadata={"code_only": True})
    """Next-token probabilities after a text, by token; every token it ever names must stand in `vocabulary`."""
    vocabulary: tuple[str, ...] = ()
    latency_s: float = 0.0
    """Added to every reply's own."""
    price: Price | None = None
    ballot: BallotMode | None = None
    timeout_s: float = 60.0
    max_concurrency: int | None = None
    retries: int = 2
    context_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.script is None and not self.replies:
            raise ConfigError(f"the scripted member {self.name!r} has neither replies nor a script")

    async def open(self, house: House) -> ScriptedModel:  # noqa: ARG002
        return ScriptedModel(self)

    @property
    def card(self) -> Card:
        abilities = {Capability.LOGPROBS, Capability.SCHEMA, Capability.REVIEW}
        if self.likelihoods is not None:
            abilities.add(Capability.LIKELIHOOD)
        if self.distributions is not None:
            abilities.add(Capability.TOKENS)
        ballot = self.ballot or (BallotMode.TEXT if self.likelihoods is None else BallotMode.LIKELIHOOD)
        return Card(
            self.name,
            "scripted",
            self.price,
            self.context_tokens,
            frozenset(abilities),
            ballot,
            self.timeout_s,
            self.max_concurrency,
        )


class ScriptedModel:
    """An open `ScriptedMember`. `requests` holds what it was asked, for tests to look at."""

    def __init__(self, spec: ScriptedMember) -> None:
        self._spec = spec
        self._numbers = count()
        self.card = spec.card
        self.requests: list[Request] = []
        self.active = 0
        """Calls under way."""

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        self.requests.append(request)
        self.active += 1
        try:
            return await self._play(self._reply(request), request, emit)
        finally:
            self.active -= 1

    def _reply(self, request: Request) -> Reply:
        spec, number = self._spec, next(self._numbers)
        reply = spec.script(request, number) if spec.script else spec.replies[min(number, len(spec.replies) - 1)]
        return Reply(reply) if isinstance(reply, str) else reply

    async def _play(self, reply: Reply, request: Request, emit: Emit | None) -> Completion:
        await asyncio.sleep(self._spec.latency_s + reply.latency_s)
        for piece in _cut(reply.text, reply.pieces):
            if emit is not None:
                emit(piece)
            await asyncio.sleep(reply.piece_s)
        if reply.hang:
            await asyncio.Event().wait()
        if reply.fail is not None:
            retryable = reply.retry_after_s is not None
            raise MemberError(reply.error, reply.fail, retryable=retryable, retry_after_s=reply.retry_after_s)
        if not reply.text.strip():
            raise MemberError("an empty answer", FailureKind.EMPTY)
        usage = self._usage(request, reply)
        return Completion(self._spec.name, reply.text, reply.finish_reason, usage, logprobs=reply.logprobs)

    def _usage(self, request: Request, reply: Reply) -> Usage:
        read = sum(len(message.text.split()) for message in request.messages)
        written = len(reply.text.split()) if reply.output_tokens is None else reply.output_tokens
        price = self._spec.price
        return Usage(1, read, written, price.cost_usd(read, written) if price else None)

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        """The scripted log-probability of each text, times its words."""
        likelihoods = self._spec.likelihoods
        if likelihoods is None:
            raise MemberError(f"{self._spec.name!r} has no scripted likelihoods", FailureKind.UNAVAILABLE)
        self.requests.append(request)
        await asyncio.sleep(self._spec.latency_s)
        counts = [max(1, len(text.split())) for text in texts]
        scores = tuple(TextScore(likelihoods.get(t.strip(), -10.0) * n, n) for t, n in zip(texts, counts, strict=True))
        price = self._spec.price
        read = sum(counts)
        return Scores(self._spec.name, scores, Usage(1, read, 0, price.cost_usd(read, 0) if price else None))

    @asynccontextmanager
    async def session(self, request: Request) -> AsyncIterator[ScriptedSession]:
        """A token-level session over the scripted distributions."""
        spec = self._spec
        if spec.distributions is None:
            raise MemberError(f"{spec.name!r} has no scripted distributions", FailureKind.UNAVAILABLE)
        session = ScriptedSession(spec.distributions, spec.vocabulary)
        await session.feed(session.encode(request.prefix))
        yield session


class ScriptedSession:
    """Token-level work on scripted distributions. Its text begins with the prefix; the prompt has no tokens."""

    def __init__(self, distributions: Callable[[str], Mapping[str, float]], vocabulary: Sequence[str]) -> None:
        self._distributions = distributions
        self._vocabulary = tuple(vocabulary)
        self.tokens: list[int] = []

    async def feed(self, tokens: Sequence[int]) -> None:
        self.tokens += tokens

    async def rollback(self, length: int) -> None:
        if not 0 <= length <= len(self.tokens):
            raise ValueError(f"cannot roll back to {length!r} tokens: the session has {len(self.tokens)}")
        del self.tokens[length:]

    async def next(self) -> Sequence[float]:
        after = self._distributions(self.decode(self.tokens).decode())
        return [math.log(after[t]) if after.get(t) else -math.inf for t in self._vocabulary]

    async def score(self, text: str) -> TextScore:
        length, total = len(self.tokens), 0.0
        tokens = self.encode(text)
        for token in tokens:
            total += (await self.next())[token]
            await self.feed([token])
        await self.rollback(length)
        return TextScore(total, len(tokens))

    def encode(self, text: str) -> Sequence[int]:
        """The longest tokens first, from the left. Raises `MemberError` for text the vocabulary cannot spell."""
        tokens: list[int] = []
        while text:
            fitting = [n for n, token in enumerate(self._vocabulary) if token and text.startswith(token)]
            if not fitting:
                raise MemberError(f"the scripted vocabulary cannot spell {text!r}", FailureKind.UNAVAILABLE)
            best = max(fitting, key=lambda n: len(self._vocabulary[n]))
            tokens.append(best)
            text = text[len(self._vocabulary[best]) :]
        return tokens

    def decode(self, tokens: Sequence[int]) -> bytes:
        return "".join(self._vocabulary[token] for token in tokens).encode()


def _cut(text: str, pieces: int) -> Sequence[str]:
    """`text` in at most `pieces` parts of about equal length."""
    size = max(1, math.ceil(len(text) / max(1, pieces)))
    return [text[start : start + size] for start in range(0, len(text), size)]
