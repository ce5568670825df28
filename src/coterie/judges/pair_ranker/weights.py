"""A pair ranker's weights as a specification: which checkpoint, and how it is run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coterie.errors import MissingExtra
from coterie.judges.pair_ranker.encoding import Keep, Pair

if TYPE_CHECKING:
    from coterie.judges.engine import Engine

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
    async def open(self) -> AsyncIterator[Engine[Pair]]:
        """The ranker, loaded. Raises `ConfigError`, `MissingExtra`."""
        engine = await asyncio.to_thread(self.load)
        try:
            yield engine
        finally:
            await asyncio.to_thread(engine.close)

    def load(self) -> Engine[Pair]:
        """The ranker, loaded here and now; whoever calls closes it."""
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("the pair ranker", "torch", "torch") from error
        from coterie.judges.engine import Engine
        from coterie.judges.pair_ranker import checkpoint, network
        from coterie.judges.pair_ranker.encoding import PairEncoder

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
        forward = network.TorchForward(loaded, device)
        return Engine(encoder.row, forward, budget_tokens=budget, pad_to=8 if on_gpu else 1)
