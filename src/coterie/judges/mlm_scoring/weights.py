"""A masked language model as a specification: which one, and how it is run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.judges.keeping import Keep
from coterie.judges.pair_ranker.weights import Precision
from coterie.judges.placement import placed

if TYPE_CHECKING:
    from coterie.judges.mlm_scoring.reader import MaskedReader


@dataclass(frozen=True)
class MaskedWeights:
    """A masked language model, and how it is run."""

    model: str = "bert-base-uncased"
    """A folder or a hub name of a masked language model."""
    text_tokens: int = 512
    """Of a text; longer ones are cut, and to the model's own limit where that is lower."""
    keep: Keep = "start"
    """Which end of a text that is too long is kept."""
    device: str = "auto"
    """`auto` takes a GPU where there is one."""
    precision: Precision = "auto"
    """`auto` is float16 on a GPU and float32 on a CPU."""
    budget_tokens: int | None = None
    """Tokens in a batch, padding included; by the device where left out."""
    cache_folder: str | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MaskedReader]:
        """The model, loaded. Raises `ConfigError`, `MissingExtra`."""
        reader = await asyncio.to_thread(self.load)
        try:
            yield reader
        finally:
            await asyncio.to_thread(reader.close)

    def load(self) -> MaskedReader:
        """The model, loaded here and now; whoever calls closes it."""
        place = placed(self.device, self.precision, "MLM-Scoring")
        from coterie.judges import pretrained
        from coterie.judges.mlm_scoring.reader import MaskedReader

        words = pretrained.Words(self.model, self.cache_folder, self.keep)
        loaded = pretrained.model("MaskedLM", self.model, place, self.cache_folder)
        return MaskedReader(loaded, words, self.text_tokens, place, self.budget_tokens)
