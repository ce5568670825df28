"""Vectors of many texts at once, kept on disk, so that no prompt is encoded twice for training and evaluation.

A folder holds one folder for each encoder, by its identity, and in it files ``*.npz`` with the digests of texts and
their vectors. Files are only ever added, each whole, so any number of processes may share them. No text is kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.door import Door
from coterie.encoders.reading import DIGEST_BYTES, digest
from coterie.errors import ConfigError, MissingExtra
from coterie.protocols import Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = dict[bytes, NDArray[np.float32]]
    """By the digests of their texts."""

log = logging.getLogger("coterie")

Watch = Callable[[str, int, int], None]
"""Told how far it is: of what, how many are done, and how many there are."""

STEP_TEXTS = 256
"""Encoded between two words to the watcher."""
FILE_TEXTS = 4_096
"""Vectors in a file: what is lost at most when the program is killed."""


def vectors_of(
    encoder: Encoder, texts: Sequence[str], folder: Path | None = None, watch: Watch | None = None
) -> NDArray[np.float32]:
    """The vector of each text, (texts, dimensions), in their order; what was encoded here before is read from disk.

    They are kept below `folder`; where that is left out, below ``COTERIE_VECTORS``, or ``vectors`` in the user's cache.
    A folder that cannot be written to costs the next call its time, and raises nothing. The encoder is opened only for
    texts that are new. May be called with or without a running event loop, which it blocks.

    Raises `RouterError` where vectors cannot be had, `ConfigError` and `ModelFilesError` as the encoder's `open`.
    """
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("encoding texts", "routers", "numpy") from error
    if isinstance(texts, str):
        raise ConfigError("texts is a list of texts, not one text")
    digests = [digest(text) for text in texts]
    shelf = Shelf(encoder.identity, folder or default_folder())
    known = shelf.read(frozenset(digests))
    fresh = {mark: text for mark, text in zip(digests, texts, strict=True) if mark not in known}
    if not fresh and digests:
        return np.stack([known[mark] for mark in digests])
    door = Door()
    try:
        dimensions = door.run(_encoded(encoder, fresh, known, shelf, watch or _silent))
    finally:
        door.close()
    return np.stack([known[mark] for mark in digests]) if digests else np.zeros((0, dimensions), dtype=np.float32)


def default_folder() -> Path:
    """Where vectors are kept: ``COTERIE_VECTORS``, else ``vectors`` in the user's cache. It may not exist yet."""
    chosen = os.environ.get("COTERIE_VECTORS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("coterie", appauthor=False)) / "vectors"


async def _encoded(encoder: Encoder, fresh: Mapping[bytes, str], known: Vectors, shelf: Shelf, watch: Watch) -> int:
    """Afterwards `known` holds the vectors of `fresh`, and the disk what of them is done, whatever is raised."""
    async with encoder.open() as opened:
        began, left, unkept = time.perf_counter(), list(fresh.items()), Unkept(shelf)
        try:
            for start in range(0, len(left), STEP_TEXTS):
                step = left[start : start + STEP_TEXTS]
                rows = await opened.encode([text for _, text in step])
                found = dict(zip((mark for mark, _ in step), rows, strict=True))
                known |= found
                unkept.add(found)
                watch("encoding", start + len(step), len(left))
        finally:
            unkept.flush()
        if left:
            took_s = time.perf_counter() - began
            log.info("encoded %d texts in %.1f s, %.0f a second", len(left), took_s, len(left) / took_s)
        return opened.dimensions


class Shelf:
    """One encoder's vectors on disk."""

    def __init__(self, identity: str, folder: Path) -> None:
        self._identity = identity
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", identity)[:60].strip("-.")
        self._folder = folder / f"{readable}-{hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()}"

    def read(self, wanted: frozenset[bytes]) -> Vectors:
        """What is kept of the texts with those digests. A file that cannot be read is passed over, with a warning."""
        found: Vectors = {}
        for file in sorted(self._folder.glob("*.npz")):
            try:
                marks, rows = self._file(file)
            except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
                log.warning("vectors in %r are passed over: %s", str(file), error)
                continue
            found.update((mark, row) for mark, row in zip(marks, rows, strict=True) if mark in wanted)
        return found

    def write(self, vectors: Vectors) -> None:
        """Afterwards they are kept, or a warning says why not."""
        import numpy as np

        marks = sorted(vectors)
        name = hashlib.blake2b(b"".join(marks), digest_size=DIGEST_BYTES).hexdigest()
        content: dict[str, Any] = {
            "identity": np.array(self._identity),
            "digests": np.frombuffer(b"".join(marks), dtype=np.uint8).reshape(-1, DIGEST_BYTES),
            "vectors": np.stack([vectors[mark] for mark in marks]),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".new-") as scratch:
                made = Path(scratch, "vectors.npz")
                np.savez(made, **content)
                os.replace(made, self._folder / f"{name}.npz")
        except OSError as error:
            log.warning("vectors cannot be kept in %r: %s; COTERIE_VECTORS names another", str(self._folder), error)

    def _file(self, file: Path) -> tuple[list[bytes], NDArray[np.float32]]:
        """Digests and vectors in a file. Raises `ValueError` for one that is not this encoder's, or is damaged."""
        import numpy as np

        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            identity, marks, rows = str(content["identity"]), content["digests"], content["vectors"]
        if identity != self._identity:
            raise ValueError(f"they are of {identity!r}")
        if marks.shape != (len(rows), DIGEST_BYTES) or rows.ndim != 2 or not np.isfinite(rows).all():
            raise ValueError("they are damaged")
        return [mark.tobytes() for mark in marks], rows.astype(np.float32, copy=False)


class Unkept:
    """Vectors on their way to the disk, a file's worth at a time."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._vectors: Vectors = {}

    def add(self, vectors: Vectors) -> None:
        """Take in more of them."""
        self._vectors |= vectors
        if len(self._vectors) >= FILE_TEXTS:
            self.flush()

    def flush(self) -> None:
        """Afterwards all of them are on the disk."""
        if self._vectors:
            self._shelf.write(self._vectors)
            self._vectors = {}


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
