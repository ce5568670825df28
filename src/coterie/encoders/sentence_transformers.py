"""Any model of the package sentence-transformers, with the pooling, prompts and length that the model names itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.encoders.folders import known_as
from coterie.encoders.serving import Pace, Served, threaded
from coterie.errors import ConfigError, MissingExtra
from coterie.quiet import quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TELLING = ("modules.json", "config.json", "model.safetensors", "pytorch_model.bin")
"""The files that tell a model in a folder from others."""


@dataclass(frozen=True)
class SentenceTransformersEncoder:
    """A larger encoder on this machine, which needs PyTorch. Take it where `minilm` is not good enough.

    Texts of a batch are padded to the longest, so that a vector may differ by 1e-5 with what stands beside it.
    """

    model: str
    """A folder or a hub name."""
    revision: str | None = None
    """Of a hub name: a commit, a tag or a branch."""
    max_tokens: int | None = None
    """The most that is read of a text; what the model says where left out."""
    batch_texts: int = 32
    device: str = "auto"
    """`auto` takes a GPU where there is one."""
    cache_folder: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "batch_texts"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value!r}")

    @property
    def identity(self) -> str:
        here = Path(self.model).expanduser().is_dir()
        name = known_as(self.model, TELLING) if here else f"{self.model}@{self.revision or 'main'}"
        return f"sentence_transformers:{name}:{self.max_tokens or 'own'}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        """The encoder, loaded. Raises `ConfigError`, `MissingExtra`."""
        sentences = await asyncio.to_thread(self._loaded)
        served = Served(threaded(sentences), sentences.dimensions, Pace(texts=8 * self.batch_texts))
        try:
            yield served
        finally:
            await served.close()

    def _loaded(self) -> Sentences:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra("this encoder", "sentence-transformers", "sentence_transformers") from error
        try:
            with quiet():
                loaded = SentenceTransformer(
                    str(Path(self.model).expanduser()) if self.model.startswith("~") else self.model,
                    device=None if self.device == "auto" else self.device,
                    cache_folder=self.cache_folder,
                    revision=self.revision,
                )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ConfigError(f"{self.model!r} cannot be loaded by sentence-transformers: {error}") from error
        if self.max_tokens is not None:
            loaded.max_seq_length = self.max_tokens
        return Sentences(loaded, self.batch_texts)


class Sentences:
    """A loaded model."""

    def __init__(self, model: Any, batch_texts: int) -> None:
        self._model = model
        self._batch_texts = batch_texts
        self.dimensions: int = len(self(["a"])[0])

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._model.encode(
            list(texts), batch_size=self._batch_texts, convert_to_numpy=True, show_progress_bar=False
        )
        return found
