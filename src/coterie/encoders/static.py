"""The static encoder: a table of word vectors and their mean. It knows no order of words, and takes no time.

After WordLlama (MIT, https://github.com/dleemiller/WordLlama): token embeddings of large language models, projected
and trained as sentence embeddings. Of that package only its table and its tokenizer are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.encoders.folders import folder_of, known_as
from coterie.encoders.reading import Keep
from coterie.encoders.serving import Pace, Served, threaded
from coterie.encoders.tensors import Tensors
from coterie.encoders.words import Words
from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDLLAMA = "wordllama-l2-supercat-256"
TABLE, TOKENIZER = "*.safetensors", "*tokenizer*.json"
INLINE_CHARACTERS = 4_000
"""Texts that take half a millisecond together are not worth a thread."""


@dataclass(frozen=True)
class Static:
    """The mean of a text's token vectors: well below a millisecond for a question, no network, numpy alone.

    Needs a table of one vector a token, fetched on first use (19 MB). Take it where a decision must cost nothing; it
    tells subjects apart and not what is said of them, which `minilm` does better.
    """

    model: str = WORDLLAMA
    """A name of the catalogue, or a folder with one table (``*.safetensors``) and its ``*tokenizer*.json``."""
    dimensions: int | None = None
    """The first so many numbers of each vector; the table is trained so that 64 or 128 of its 256 serve as well."""
    max_tokens: int = 512
    keep: Keep = "start"
    """Which end of a longer text is read."""

    def __post_init__(self) -> None:
        for name in ("dimensions", "max_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value!r}")

    @property
    def identity(self) -> str:
        """Raises `ConfigError` for a folder that is none."""
        files = ("*",) if self.model == WORDLLAMA else _files(self.model)
        width = self.dimensions or "all"
        return f"static:{known_as(self.model, files)}:{width}:{self.max_tokens}:{self.keep}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        """The encoder, loaded. Raises `ConfigError`, `MissingExtra`, `ModelFilesError`."""
        table = await asyncio.to_thread(self._loaded)
        served = Served(threaded(table), table.dimensions, Pace(texts=256), inline=table.quickly)
        try:
            yield served
        finally:
            await served.close()

    def _loaded(self) -> Table:
        try:
            import numpy as np
        except ImportError as error:
            raise MissingExtra("the static encoder", "routers", "numpy") from error
        folder = folder_of(self.model)
        table, tokenizer = (folder / name for name in _files(str(folder)))
        tensors = Tensors(table)
        if len(tensors.places) != 1:
            raise ConfigError(f"{str(table)!r} holds {len(tensors.places)} tensors, and a table of vectors is one")
        rows = np.array(tensors[next(iter(tensors.places))])
        if rows.ndim != 2 or (self.dimensions or 1) > rows.shape[1]:
            raise ConfigError(f"{str(table)!r} has the shape {rows.shape!r}: no {self.dimensions or 1} numbers a token")
        return Table(rows[:, : self.dimensions], Words(tokenizer, self.max_tokens, self.keep, framed=False))


class Table:
    """A vector for each token."""

    def __init__(self, rows: NDArray[np.float32], words: Words) -> None:
        self._rows = rows
        self._words = words
        if words.size > len(rows):
            raise ConfigError(f"the tokenizer knows {words.size} tokens, and the table has vectors for {len(rows)}")

    @property
    def dimensions(self) -> int:
        return int(self._rows.shape[1])

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean of each text's token vectors; 0 for one without any."""
        import numpy as np

        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for n, text in enumerate(texts):
            ids = self._words.ids(text)
            if len(ids):
                found[n] = self._rows[ids].mean(axis=0)
        return found

    def quickly(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """The same where it is done at once, else nothing."""
        return self(texts) if sum(map(len, texts)) <= INLINE_CHARACTERS else None


def _files(model: str) -> tuple[str, str]:
    """The names of the table and of the tokenizer in a folder. Raises `ConfigError` where there is not one of each."""
    folder = Path(model).expanduser()
    found = [sorted(file.name for file in folder.glob(pattern)) for pattern in (TABLE, TOKENIZER)]
    if any(len(names) != 1 for names in found):
        raise ConfigError(f"{model!r} must hold one {TABLE} and one {TOKENIZER}, not {found!r}")
    return found[0][0], found[1][0]
