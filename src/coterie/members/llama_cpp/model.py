"""An open local member: writes, scores given texts, and is led token by token."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from coterie.errors import MemberError
from coterie.members.llama_cpp import schema_size
from coterie.members.llama_cpp.context import Context, Stopped
from coterie.members.llama_cpp.engine import LlamaEngine
from coterie.members.llama_cpp.prompt import Form, Prompt
from coterie.members.llama_cpp.reply import Reply, too_long
from coterie.members.llama_cpp.session import LlamaSession
from coterie.protocols import Emit, TokenSession
from coterie.types import Card, Completion, FailureKind, Json, Request, Sampling, Scores, TextScore, Usage

JSON_STARTS = frozenset('{["-0123456789tfn')
"""Characters that a JSON value may begin with."""

PASSED_THROUGH = (
    *("top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty"),
    *("dry_multiplier", "mirostat", "mirostat_tau", "mirostat_eta", "logit_bias", "ignore_eos"),
)
"""Of a request's extra parameters, those of llama.cpp's samplers."""


SEEDS = 2**32 - 1
"""The library takes seeds below this, and draws one of its own for the number itself; others are folded into them."""


@dataclass(frozen=True)
class LlamaCppModel:
    """An open `LlamaCppMember`: the member's own form and settings on a shared engine."""

    card: Card
    engine: LlamaEngine
    form: Form
    defaults: Sampling
    """What holds where the request sets nothing."""

    @property
    def why_no_likelihood(self) -> str:
        """Why it neither scores nor opens sessions; empty when it does."""
        return self.engine.why_no_likelihood

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        """The text for `request`. Raises `MemberError`: too long, blank, or refused by the engine."""
        if request.schema is not None:
            schema_size.check(request.schema)
        prompt = await self.prompt(request)
        reply = Reply(
            trim=bool(prompt.lead),
            alternatives=request.sampling.top_logprobs,
            pass_on=None if emit is None else _to_loop(emit),
        )
        await self.engine.write(self._body(request, prompt), reply)
        # After a fixed prefix the model may rightly have nothing to add.
        completion = reply.completion(self.card.name, self.card.price, may_be_blank=bool(request.prefix))
        _require_json(request, completion)
        return completion

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        """Log-probability of each of `texts` as the answer. Raises `MemberError`: an empty text, or too long."""
        began = time.monotonic()
        native = self.engine.native
        prompt = await self.prompt(request)
        encoded = await self.engine.prepare(lambda: [native.vocabulary.encode(prompt.lead + t) for t in texts])
        for text, tokens in zip(texts, encoded, strict=True):
            if not text or not tokens:
                raise MemberError(f"the text {text!r} is empty: it has no log-probability", FailureKind.UNAVAILABLE)
            self._fits(len(prompt.tokens) + len(tokens))
        found = await self.engine.work(lambda stopped: native.score(prompt.tokens, encoded, stopped))
        read = len(prompt.tokens) + sum(len(tokens) for tokens in encoded)
        price = self.card.price
        cost = None if price is None else price.cost_usd(read, 0, found.cached)
        return Scores(
            self.card.name,
            tuple(TextScore(sum_, len(tokens)) for sum_, tokens in zip(found.logprobs, encoded, strict=True)),
            Usage(1, read, 0, cost, found.cached),
            time.monotonic() - began,
        )

    @asynccontextmanager
    async def session(self, request: Request) -> AsyncIterator[TokenSession]:
        """A session that has read `request`. Its cache goes back to the engine's pool, for the next that begins alike.

        Raises `MemberError`: too long, no token-level work here, or too many sessions open.
        """
        native = self.engine.native
        prompt = await self.prompt(request)

        def begin(stopped: Stopped) -> Context:
            context = native.lend(prompt.tokens)
            try:
                context.resume(prompt.tokens, stopped)
            except BaseException:
                native.take_back(context)
                raise
            return context

        context = await self.engine.work(begin, discard=native.take_back)
        try:
            yield LlamaSession(self.engine, context)
        finally:
            native.take_back(context)

    async def first_fitting(self, requests: Sequence[Request], texts: Sequence[str] = ()) -> int:
        """Of requests that grow shorter, the place of the first with room for the reply, or for each of `texts`.

        By this member's own tokens: what stands here and what `generate` refuses cannot differ. The last
        place where none fits.
        """
        vocabulary, limit = self.engine.vocabulary, self.engine.spec.context_tokens

        def search() -> int:
            room = limit - self._after(requests[0], texts)
            return bisect_left(
                range(len(requests) - 1),
                True,
                key=lambda place: len(self.form.prompt(requests[place], vocabulary).tokens) <= room,
            )

        return await self.engine.prepare(search)

    def _after(self, request: Request, texts: Sequence[str]) -> int:
        """Tokens that what follows the prompt takes; a reply is left half of the context at most."""
        if texts:
            lead = self.form.prompt(request, self.engine.vocabulary).lead
            return max(len(self.engine.vocabulary.encode(lead + text)) for text in texts)
        wanted = request.sampling.max_tokens or self.defaults.max_tokens or 1
        return min(wanted, self.engine.spec.context_tokens // 2)

    async def prompt(self, request: Request) -> Prompt:
        """`request` as this member's tokens. Raises `MemberError` when they leave no room for an answer."""
        prompt = await self.engine.prepare(lambda: self.form.prompt(request, self.engine.vocabulary))
        self._fits(len(prompt.tokens) + 1)
        return prompt

    def _fits(self, tokens: int) -> None:
        if tokens > self.engine.spec.context_tokens:
            raise too_long(tokens, self.engine.spec.context_tokens)

    def _body(self, request: Request, prompt: Prompt) -> dict[str, Json]:
        asked, own = request.sampling, self.defaults
        wanted: dict[str, Json] = {
            "temperature": own.temperature if asked.temperature is None else asked.temperature,
            "top_p": asked.top_p,
            "seed": None if asked.seed is None else asked.seed % SEEDS,
            "json_schema": request.schema,
            # The engine counts alternatives with the chosen token, so that 0 would switch them off.
            "n_probs": None if asked.top_logprobs is None else max(1, asked.top_logprobs),
        }
        body = {key: asked.extra[key] for key in PASSED_THROUGH if key in asked.extra}
        body |= {key: value for key, value in wanted.items() if value is not None}
        body["prompt"] = list(prompt.tokens)
        most = own.max_tokens if asked.max_tokens is None else asked.max_tokens
        body["max_tokens"] = None if most is None else min(most, self.engine.spec.context_tokens)
        body["stop"] = [stop for stop in (*asked.stop, *prompt.stop) if stop]
        return body


def _require_json(request: Request, completion: Completion) -> None:
    """Raise `MemberError` where a schema was not held to: llama.cpp writes freely when it cannot use one."""
    if request.schema is None or request.prefix or request.sampling.stop:
        return
    try:
        if completion.finish_reason == "stop":
            json.loads(completion.text)
            return
    except ValueError:
        pass
    else:
        if completion.text.lstrip()[:1] in JSON_STARTS:
            return
    raise MemberError(
        f"the answer is no JSON, so llama.cpp cannot use the schema {dict(request.schema)!r}: is it valid?",
        FailureKind.HTTP,  # a schema is the request's: it says nothing of the engine
        status=400,
        usage=completion.usage,
    )


def _to_loop(emit: Emit) -> Callable[[str], None]:
    """`emit`, to be called from another thread."""
    loop = asyncio.get_running_loop()

    def pass_on(piece: str) -> None:
        # A loop that was closed under a running call takes nothing any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(emit, piece)

    return pass_on
