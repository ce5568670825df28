"""A pair ranker's weights as a specification: which checkpoint, and how it is run."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coterie.errors import ConfigError, MissingExtra
from coterie.judges.keeping import Keep
from coterie.judges.pair_ranker.encoding import Pair

if TYPE_CHECKING:
    from coterie.judges.engine import Engine
    from coterie.judges.pair_ranker.checkpoint import Checkpoint

Precision = Literal["auto", "float32", "float16", "bfloat16"]
Runtime = Literal["auto", "torch", "onnx"]


@dataclass(frozen=True)
class PairRankerWeights:
    """A checkpoint, and how it is run."""

    model: str = "llm-blender/PairRM"
    """A folder, ``coterie/NAME`` for a part that comes with this package, or a hub name, in any published layout."""
    runtime: Runtime = "auto"
    """`onnx` needs no PyTorch; `auto` takes it where the folder holds `model.onnx`."""
    device: str = "auto"
    """`auto` takes a GPU where there is one. ONNX Runtime is run on the CPU alone."""
    precision: Precision = "auto"
    """`auto` is float16 on a GPU, as the reference, and float32 on a CPU; of an ONNX file, its own."""
    threads: int | None = None
    """Of ONNX Runtime; every core where left out. PyTorch's belong to the whole program (torch.set_num_threads)."""
    budget_tokens: int | None = None
    """Tokens in a batch, padding included; by the device where left out."""
    source_tokens: int | None = None
    """Instead of the checkpoint's own."""
    candidate_tokens: int | None = None
    """Instead of the checkpoint's own."""
    keep: Keep | None = None
    """Which end of a text that is too long is kept. Left out, the one that the checkpoint was trained with: what its
    `config.json` says, or else the start, as for every published ranker."""
    cache_folder: str | None = None

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
        found = self._found()
        wants_onnx = self.runtime == "onnx" or (self.runtime == "auto" and found.onnx is not None)
        return self._with_onnx(found) if wants_onnx else self._with_torch(found)

    def _found(self) -> Checkpoint:
        from coterie.judges.pair_ranker import checkpoint

        found = checkpoint.find(
            self.model,
            cache_folder=self.cache_folder,
            source_maxlength=self.source_tokens,
            candidate_maxlength=self.candidate_tokens,
            keep=self.keep,
        )
        kind = found.settings.get("ranker_type") or "pairranker"
        if kind != "pairranker":
            raise ConfigError(
                f"{self.model!r} holds a ranker of the type {kind!r}, and a pair ranker's is 'pairranker'"
            )
        return found

    def _with_onnx(self, found: Checkpoint) -> Engine[Pair]:
        file = self._file(found)
        _need("tokenizers", "numpy")
        from coterie.judges.engine import Engine
        from coterie.judges.pair_ranker.encoding import PairEncoder
        from coterie.judges.pair_ranker.onnx import OnnxForward, budget_tokens

        forward = OnnxForward(file, self.threads)
        if self.precision not in ("auto", forward.precision):
            raise ConfigError(f"{str(file)!r} was exported in {forward.precision}, not in {self.precision!r}")
        self._check_length(found, forward.longest)
        encoder = PairEncoder(found)
        return Engine(encoder.row, forward, budget_tokens=self.budget_tokens or budget_tokens(self.threads))

    def _with_torch(self, found: Checkpoint) -> Engine[Pair]:
        from coterie.judges.placement import placed

        place = placed(self.device, self.precision, "the pair ranker")
        from coterie.judges.engine import Engine
        from coterie.judges.pair_ranker import network
        from coterie.judges.pair_ranker.encoding import PairEncoder
        from coterie.judges.pair_ranker.packed import PackedDeberta, packs
        from coterie.judges.pretrained import most_tokens

        encoder = PairEncoder(found)
        loaded = network.load(found, vocabulary=encoder.vocabulary, device=place.device, dtype=place.dtype)
        self._check_length(found, most_tokens(loaded.pretrained_model, place))
        budget = self.budget_tokens or place.budget_tokens
        if packs(loaded.pretrained_model.config):
            return Engine(encoder.row, PackedDeberta(loaded, place.device), budget_tokens=budget, pad_to=0)
        forward = network.TorchForward(loaded, place.device)
        return Engine(encoder.row, forward, budget_tokens=budget, pad_to=place.pad_to)

    def _file(self, found: Checkpoint) -> Path:
        """The ONNX file. Raises `ConfigError` where there is none, and for settings that it does not know."""
        if found.onnx is None:
            raise ConfigError(f"{self.model!r} holds no model.onnx: make one with 'coterie export pair-ranker'")
        if self.device.lower() not in ("auto", "cpu"):
            raise ConfigError(f"model.onnx runs on the CPU, not on device={self.device!r}: that needs runtime='torch'")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads must be at least 1, not {self.threads!r}")
        return found.onnx

    def _check_length(self, found: Checkpoint, most: int | None) -> None:
        if most is not None and found.longest > most:
            raise ConfigError(
                f"{self.model!r} tells {most} places apart, and rows may have {found.longest} tokens: "
                "lower source_tokens and candidate_tokens"
            )


def _need(*modules: str) -> None:
    """Raises `MissingExtra` for one that is not installed."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtra("a ranker in model.onnx", "local", module) from error
