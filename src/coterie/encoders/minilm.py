"""MiniLM: a small BERT as a sentence encoder, all-MiniLM-L6-v2 by default.

Mean of the last states over all tokens, at length 1, as it was trained (https://www.sbert.net; MiniLM: 2002.10957).
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from coterie.encoders.bert import FILES, Checkpoint, Forward
from coterie.encoders.folders import folder_of, known_as
from coterie.encoders.reading import Keep
from coterie.encoders.serving import Pace, Served, threaded
from coterie.encoders.words import Words
from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Backend = Literal["auto", "onnx", "torch", "numpy"]
Precision = Literal["float32", "int8"]


@dataclass(frozen=True)
class MiniLM:
    """The default encoder: it tells what is said apart, on any processor, without PyTorch.

    Needs a checkpoint, fetched on first use (84 MB, Apache-2.0). Takes time in proportion to a text's length; take
    `static` where that is too long, and `endpoint` or `sentence_transformers` for a larger model.
    """

    model: str = "all-minilm-l6-v2"
    """A name of the catalogue, or a folder with a BERT: `config.json`, `model.safetensors` and `tokenizer.json`."""
    max_tokens: int = 256
    """The most that is read of a text; the published model was trained with 128 and is used with 256."""
    keep: Keep = "start"
    """Which end of a longer text is read."""
    backend: Backend = "auto"
    """`auto` is ONNX Runtime, the quickest, and numpy where it is not installed. All of them give the same vectors."""
    precision: Precision = "float32"
    """`int8` takes half the time in ONNX Runtime, and its vectors are near the others, but not comparable with them."""
    device: str = "cpu"
    """Of the backend `torch`."""
    threads: int | None = None
    """Of the backend `onnx`; every core where left out. The others' belong to the whole program."""

    def __post_init__(self) -> None:
        for name, allowed in (("backend", get_args(Backend)), ("precision", get_args(Precision))):
            if (said := getattr(self, name)) not in allowed:
                raise ConfigError(f"{name} is one of {', '.join(allowed)}, not {said!r}")
        if self.precision == "int8" and self.backend not in ("auto", "onnx"):
            raise ConfigError(f"precision='int8' needs backend='onnx', not {self.backend!r}")
        if self.device != "cpu" and self.backend != "torch":
            raise ConfigError(f"device={self.device!r} needs backend='torch', not {self.backend!r}")
        for name in ("max_tokens", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value!r}")

    @property
    def identity(self) -> str:
        """The same for all backends and devices. Raises `ConfigError` for a folder that is none."""
        name = f"minilm:{known_as(self.model, FILES)}:mean:{self.max_tokens}:{self.keep}"
        return name if self.precision == "float32" else f"{name}:{self.precision}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        """The encoder, loaded. Raises `ConfigError`, `MissingExtra`, `ModelFilesError`."""
        sentences = await asyncio.to_thread(self._loaded)
        served = Served(threaded(sentences), sentences.dimensions, Pace(texts=32))
        try:
            yield served
        finally:
            await served.close()

    def _loaded(self) -> Sentences:
        if importlib.util.find_spec("numpy") is None:
            raise MissingExtra("the encoder", "routers", "numpy")
        checkpoint = Checkpoint(folder_of(self.model))
        layout = checkpoint.layout
        if self.max_tokens > layout.places:
            raise ConfigError(f"{self.model!r} tells {layout.places} places apart: lower max_tokens={self.max_tokens}")
        words = Words(checkpoint.folder / "tokenizer.json", self.max_tokens, self.keep, framed=True)
        return Sentences(words, self._forward(checkpoint), layout.width)

    def _forward(self, checkpoint: Checkpoint) -> Forward:
        int8 = self.precision == "int8"
        match _quickest(int8=int8) if self.backend == "auto" else self.backend:
            case "torch":
                from coterie.encoders.bert_torch import TorchForward

                return TorchForward(checkpoint, self.device)
            case "numpy":
                from coterie.encoders.bert_numpy import NumpyForward

                return NumpyForward(checkpoint)
            case _:
                from coterie.encoders.bert_onnx import OnnxForward

                return OnnxForward(checkpoint, self.threads, int8=int8)


class Sentences:
    """Texts to vectors, through tokens and a network."""

    def __init__(self, words: Words, forward: Forward, dimensions: int) -> None:
        self._words = words
        self._forward = forward
        self.dimensions = dimensions

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector of any length for each text, 0 for one without a word."""
        import numpy as np

        rows = [self._words.ids(text) for text in texts]
        read = [n for n, row in enumerate(rows) if len(row)]
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if read:
            found[read] = self._forward([rows[n] for n in read])
        return found


def _quickest(*, int8: bool) -> Backend:
    """What is installed of the backends that need no PyTorch; eight bits are ONNX Runtime's alone."""
    return "onnx" if int8 or all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))) else "numpy"
