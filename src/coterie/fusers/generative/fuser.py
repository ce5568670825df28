"""The generative fuser as a part: LLM-Blender's GenFuser, or any model prompted like it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from coterie.protocols import Emit, Run
from coterie.types import Candidate, Failure, Request, Standing

if TYPE_CHECKING:
    from coterie.fusers.generative.engine import FuserEngine


@dataclass(frozen=True)
class FuserWeights:
    """A fusing model, and where it runs."""

    model: str = "llm-blender/gen_fuser_3b"
    """A folder or a hub name: an encoder-decoder or a decoder-only model."""
    device: str = "auto"
    precision: str = "auto"
    """`auto` is bfloat16 on a GPU and float32 on a CPU."""
    cache_folder: str | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FuserEngine]:
        """The model, loaded. Raises `ConfigError`, `MissingExtra`."""
        yield await asyncio.to_thread(self.load)

    def load(self) -> FuserEngine:
        from coterie.fusers.generative.engine import FuserEngine

        return FuserEngine(self.model, device=self.device, precision=self.precision, cache_folder=self.cache_folder)


@dataclass(frozen=True)
class Generative(FuserWeights):
    """A trained model writes one answer out of the K best: GenFuser (2306.02561, section 4).

    Needs: the extra `torch` and a model trained to fuse. Costs: one generation, no call to a member.
    It streams when `beams` is 1; a beam search knows its text only at the end.
    """

    candidate_tokens: int = 128
    """Of each candidate; longer ones are cut."""
    prompt_tokens: int = 1024
    """Of everything read; candidates are cut first, the closing instruction never."""
    max_new_tokens: int = 128
    beams: int = 4

    async def fuse(self, request: Request, best: Sequence[Standing], run: Run) -> Candidate | Failure:
        engine = await run.open(FuserWeights(**{f.name: getattr(self, f.name) for f in fields(FuserWeights)}))
        candidates = [standing.candidate for standing in best]
        return await run.write("generative", lambda emit: self._written(engine, request, candidates, emit), candidates)

    async def _written(
        self, engine: FuserEngine, request: Request, candidates: Sequence[Candidate], emit: Emit | None
    ) -> str:
        passed = None if emit is None or self.beams > 1 else _to_loop(emit)
        return await asyncio.to_thread(self._write, engine, request, [c.text for c in candidates], passed)

    def _write(
        self, engine: FuserEngine, request: Request, texts: Sequence[str], emit: Callable[[str], None] | None
    ) -> str:
        from coterie.fusers.generative.engine import Decoding
        from coterie.fusers.generative.prompt import Budgets

        instruction = "\n".join(m.text for m in request.messages if m.role in ("system", "developer"))
        turns = [m for m in request.messages if m.role not in ("system", "developer")]
        asked = turns[0].text if len(turns) == 1 else "\n".join(f"{m.role.upper()}: {m.text}" for m in turns)
        prompt = engine.prompt(instruction, asked, texts, Budgets(self.prompt_tokens, self.candidate_tokens))
        decoding = Decoding(request.sampling.max_tokens or self.max_new_tokens, self.beams)
        if emit is not None:
            return engine.stream(prompt, decoding, emit)
        return engine.write([prompt], decoding)[0]


def _to_loop(emit: Emit) -> Callable[[str], None]:
    """`emit`, to be called from another thread."""
    loop = asyncio.get_running_loop()

    def pass_on(piece: str) -> None:
        loop.call_soon_threadsafe(emit, piece)

    return pass_on
