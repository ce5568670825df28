"""A file of named tensors (safetensors), read with numpy alone: arrays that stay on disk until they are used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_HEADER_BYTES = 1 << 26
STORED_AS = {"F32": "float32", "F16": "float16", "BF16": "uint16"}
"""The kinds of numbers that can be read, and what numpy calls their bytes."""
BYTES_A_NUMBER = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class Place:
    """Where a tensor stands in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    """In bytes."""
    size_bytes: int


class Tensors:
    """The tensors of one file. Raises `ConfigError` for what is no such file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.places: Mapping[str, Place] = _places(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{str(path)!r} is no file of tensors (safetensors) that can be read: {error}") from error

    def place(self, name: str) -> Place:
        """Where that tensor stands. Raises `ConfigError` where there is none."""
        found = self.places.get(name)
        if found is None:
            raise ConfigError(f"{str(self.path)!r} has no tensor {name!r}")
        return found

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """In float32. Raises `ConfigError` where there is none, or its numbers are of another kind."""
        import numpy as np

        found = self.place(name)
        if found.kind not in STORED_AS:
            raise ConfigError(f"{name!r} in {str(self.path)!r} holds numbers of the kind {found.kind!r}")
        stored: NDArray[Any] = np.memmap(self.path, STORED_AS[found.kind], "r", found.start, found.shape)
        if found.kind == "BF16":  # the upper half of a float32
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32, copy=False)


def _places(path: Path) -> dict[str, Place]:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(LONGEST_HEADER_BYTES, size_bytes - 8):
            raise ValueError(f"a header of {header_bytes} bytes in a file of {size_bytes}")
        header = json.loads(file.read(header_bytes))
    begins = 8 + header_bytes
    found = {}
    for name, said in header.items():
        if name == "__metadata__":
            continue
        start, end = said["data_offsets"]
        place = Place(said["dtype"], tuple(said["shape"]), begins + start, end - start)
        numbers = math.prod(place.shape)
        fits = numbers * BYTES_A_NUMBER.get(place.kind, 0) in (place.size_bytes, 0)
        if not fits or not 0 <= start <= end <= size_bytes - begins:
            raise ValueError(f"{name!r} is said to stand where it cannot")
        found[name] = place
    return found
