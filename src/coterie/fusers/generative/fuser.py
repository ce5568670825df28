"""The generative fuser as a part: LLM-Blender's GenFuser, or any model prompted like it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.fusers.generative.prompt import Budgets, ByCharacters, FuserPrompt, WantedStyle, build, told
from coterie.protocols import Emit, Run
from coterie.quoting import CHARACTERS_A_TOKEN, UNKNOWN_WINDOW_TOKENS
from coterie.types import Candidate, Card, Failure, Message, Request, Standing

if TYPE_CHECKING:
    from coterie.fusers.generative.engine import FuserEngine

ENGLISH_CHARACTERS_A_TOKEN = 4
"""What a token stands for in common English, for candidates that are to be cut about where a tokenizer would."""


@dataclass(frozen=True)
class FuserWeights:
    """A fusing model, and where it runs."""

    model: str = "llm-blender/gen_fuser_3b"
    """A folder, a hub name, `coterie/NAME` or a GGUF file: an encoder-decoder or a decoder-only model."""
    adapter: str = ""
    """A LoRA adapter trained on top of `model` (a folder, a hub name or `coterie/NAME`); none where left out."""
    device: str = "auto"
    precision: str = "auto"
    """`auto` is bfloat16 on a GPU and float32 on a CPU."""
    cache_folder: str | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FuserEngine]:
        """The model, loaded. Raises `ConfigError`, `MissingExtra`."""
        yield await asyncio.to_thread(self.load)

    def load(self) -> FuserEngine:
        """The model, loaded here and now. Raises `ConfigError`, `MissingExtra`."""
        from coterie.fusers.generative.engine import FuserEngine

        return FuserEngine(
            self.model,
            adapter=self.adapter,
            device=self.device,
            precision=self.precision,
            cache_folder=self.cache_folder,
        )


@dataclass(frozen=True)
class Generative(FuserWeights):
    """A trained model writes one answer out of the K best: GenFuser (2306.02561, section 4).

    Needs: the extra `torch` and a model trained to fuse (the extra `train` for one with an adapter), or a
    `member` that was trained so. Costs: one generation; no call to a member, or one to that member. Of its
    own weights it streams when `beams` is 1; a beam search knows its text only at the end. A request's
    `max_tokens` and `stop` hold for the fused text.
    """

    style: WantedStyle = "auto"
    """`genfuser`, the published fusers' prompt, or `chat`, the same through the model's chat template.
    `auto` is `chat` for a model that only decodes and has a template."""
    candidate_tokens: int = 128
    """Of each candidate; longer ones are cut."""
    prompt_tokens: int = 1024
    """Of everything read; candidates are cut first, the closing instruction never."""
    max_new_tokens: int = 128
    beams: int = 4
    member: str | None = None
    """A member that writes in the place of own weights, prompted in the style `chat`; tokens are estimated there."""

    def __post_init__(self) -> None:
        if self.member and self.adapter:
            raise ConfigError(f"{self.member!r} writes with its own weights: give that member the adapter")
        if self.member and self.style == "genfuser":
            raise ConfigError(f"{self.member!r} is a member, which is prompted in the style 'chat', not 'genfuser'")

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.member,) if self.member else ()

    @property
    def opens(self) -> tuple[FuserWeights, ...]:
        """What is expensive in it, which a committee opens ahead."""
        return () if self.member else (self.weights,)

    @property
    def weights(self) -> FuserWeights:
        """The specification of what is expensive."""
        return FuserWeights(**{f.name: getattr(self, f.name) for f in fields(FuserWeights)})

    async def fuse(self, request: Request, best: Sequence[Standing], run: Run) -> Candidate | Failure:
        candidates = [standing.candidate for standing in best]
        if self.member:
            asked = self._asked(request, candidates, run.cards.get(self.member))
            return await run.compose(self.member, asked, candidates)
        engine = await run.open(self.weights)
        return await run.write("generative", lambda emit: self._written(engine, request, candidates, emit), candidates)

    # ---- a member writes ----------------------------------------------------------------------

    def _asked(self, request: Request, candidates: Sequence[Candidate], card: Card | None) -> Request:
        """The request that the member gets: the prompt as a user's only message."""
        reply_tokens = request.sampling.max_tokens or self.max_new_tokens
        window = (card.context_tokens if card else None) or UNKNOWN_WINDOW_TOKENS
        budgets = Budgets(
            min(self.prompt_tokens, window - reply_tokens),
            self.candidate_tokens * ENGLISH_CHARACTERS_A_TOKEN // CHARACTERS_A_TOKEN,
        )
        prompt = build(ByCharacters(), told(request.messages, [c.text for c in candidates]), budgets)
        sampling = replace(request.sampling, max_tokens=reply_tokens)
        return replace(request, messages=(Message("user", prompt.text),), sampling=sampling)

    # ---- own weights write --------------------------------------------------------------------

    async def _written(
        self, engine: FuserEngine, request: Request, candidates: Sequence[Candidate], emit: Emit | None
    ) -> str:
        passed = None if emit is None or self.beams > 1 else _to_loop(emit)
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._write, engine, request, [c.text for c in candidates], passed, stop)
        finally:
            stop.set()  # a thread cannot be cancelled, only asked to stop

    def _write(
        self,
        engine: FuserEngine,
        request: Request,
        texts: Sequence[str],
        emit: Callable[[str], None] | None,
        stop: threading.Event,
    ) -> str:
        from coterie.fusers.generative.engine import Decoding

        prompt = self._prompt(engine, request, texts)
        sampling = request.sampling
        decoding = Decoding(sampling.max_tokens or self.max_new_tokens, self.beams, sampling.stop)
        if emit is not None:
            return engine.stream(prompt, decoding, emit, stop=stop)
        return engine.write([prompt], decoding, stop=stop)[0]

    def write(self, engine: FuserEngine, asked: Sequence[tuple[Request, Sequence[str]]]) -> list[str]:
        """The fused text of each request and its texts, best first: many at once, for whoever has many.

        Each ends before the first of its own request's stop strings; all of them have `max_new_tokens`.
        """
        from coterie.fusers.generative.ending import before
        from coterie.fusers.generative.engine import Decoding

        prompts = [self._prompt(engine, request, texts) for request, texts in asked]
        written = engine.write(prompts, Decoding(self.max_new_tokens, self.beams))
        return [before(text, request.sampling.stop) for text, (request, _) in zip(written, asked, strict=True)]

    def _prompt(self, engine: FuserEngine, request: Request, texts: Sequence[str]) -> FuserPrompt:
        budgets = Budgets(self.prompt_tokens, self.candidate_tokens)
        return build(engine.reader(self.style), told(request.messages, texts), budgets)


def _to_loop(emit: Emit) -> Callable[[str], None]:
    """`emit`, to be called from another thread."""
    loop = asyncio.get_running_loop()

    def pass_on(piece: str) -> None:
        loop.call_soon_threadsafe(emit, piece)

    return pass_on
