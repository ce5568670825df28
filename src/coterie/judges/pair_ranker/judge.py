"""The pair ranker as a judge: which of two answers is better, for the pairs a tournament asks about.

LLM-Blender's PairRanker (2306.02561, section 3): a cross-encoder reads the source and two candidates
side by side. `PairRanker` is the specification; the weights are opened once by the committee.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from coterie.errors import MissingExtra
from coterie.judges.pair_ranker.encoding import Keep, Pair
from coterie.protocols import Run
from coterie.types import Candidate, Failure, Judgement, Message, Request

if TYPE_CHECKING:
    from coterie.judges.pair_ranker.engine import PairEngine

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class PairRankerWeights:
    """A checkpoint, and how it is run."""

    model: str = "llm-blender/PairRM"
    """A folder or a hub name, in any published layout."""
    device: str = "auto"
    """`auto` takes a GPU where there is one."""
    precision: Precision = "auto"
    """`auto` is float16 on a GPU, as the reference, and float32 on a CPU."""
    budget_tokens: int | None = None
    """Tokens in a batch, padding included; by the device where left out."""
    source_tokens: int | None = None
    """Instead of the checkpoint's own."""
    candidate_tokens: int | None = None
    """Instead of the checkpoint's own."""
    keep: Keep = "start"
    """Which end of a text that is too long is kept; the published rankers were trained with its start."""
    cache_folder: str | None = None
    compiled: bool = False
    """Compile the encoder (torch.compile): about a minute once, and quicker from then on. For long runs on a GPU."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PairEngine]:
        """The ranker, loaded. Raises `ConfigError`, `MissingExtra`."""
        engine = await asyncio.to_thread(self.load)
        try:
            yield engine
        finally:
            await asyncio.to_thread(engine.close)

    def load(self) -> PairEngine:
        """The ranker, loaded here and now; whoever calls closes it."""
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("the pair ranker", "torch", "torch") from error
        from coterie.judges.pair_ranker import checkpoint, network
        from coterie.judges.pair_ranker.encoding import PairEncoder
        from coterie.judges.pair_ranker.engine import PairEngine

        found = checkpoint.find(
            self.model,
            cache_folder=self.cache_folder,
            source_maxlength=self.source_tokens,
            candidate_maxlength=self.candidate_tokens,
        )
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device.lower()
        on_gpu = torch.device(device).type == "cuda"
        precision = ("float16" if on_gpu else "float32") if self.precision == "auto" else self.precision
        encoder = PairEncoder(found, self.keep)
        loaded = network.load(found, vocabulary=encoder.vocabulary, device=device, dtype=getattr(torch, precision))
        if self.compiled:
            loaded.compile_encoder()
        budget = self.budget_tokens or (32_768 if on_gpu else 2_048)
        return PairEngine(encoder, loaded, device=device, budget_tokens=budget, pad_to=8 if on_gpu else 1)


@dataclass(frozen=True)
class PairRanker(PairRankerWeights):
    """Every ordered pair of candidates, scored by a trained cross-encoder: 2306.02561, section 3.

    Needs: the extra `torch` and a checkpoint. Costs: N (N - 1) forwards of a 0.4B encoder for N
    candidates, no call to a member. Use it with the rule `max_logits`.
    """

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        engine = await run.open(self._weights())
        source = source_of(request.messages)
        ordered = [(a, b) for a in candidates for b in candidates if a.id != b.id]
        job = _compared(engine, [Pair(source, a.text, b.text) for a, b in ordered])
        done = await run.work("pair_ranker", job, stage="rank", needs=[c.id for c in candidates])
        if isinstance(done, Failure):
            return [Judgement.abstain("pair_ranker", done.error)]
        work, scores = done
        return [
            Judgement("pair_ranker", (a.id, b.id), pair, calls=(work,))
            for (a, b), pair in zip(ordered, scores, strict=True)
        ]

    def _weights(self) -> PairRankerWeights:
        """The specification of what is expensive, which is all of this judge."""
        return PairRankerWeights(**{field.name: getattr(self, field.name) for field in fields(PairRankerWeights)})


async def _compared(engine: PairEngine, pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """Scores of the pairs; the texts are tokenised on a thread of their own, beside the engine's worker."""
    futures = await asyncio.to_thread(engine.submit, pairs)
    return await asyncio.gather(*map(asyncio.wrap_future, futures))


def source_of(messages: Sequence[Message]) -> str:
    """What the candidates answer: a single question as it is; a conversation as its turns, system text first.

    Instruction and input stand together without a separator, as the published rankers were trained.
    """
    instructions = "".join(m.text for m in messages if m.role in ("system", "developer"))
    turns = [m for m in messages if m.role not in ("system", "developer")]
    if len(turns) == 1:
        return instructions + turns[0].text
    names = {"user": "USER", "assistant": "ASSISTANT"}
    return instructions + "\n".join(f"{names.get(m.role, m.role.upper())}: {m.text}" for m in turns)
