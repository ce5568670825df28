"""Arrays in one file, as numpy's ``npz``: never pickled, never compressed, and the same bytes for the same arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES = 8 * 2**30
"""Of all arrays of a file."""

THEN = (1980, 1, 1, 0, 0, 0)
"""When every entry was written, so that a file tells nothing but its arrays."""


def save(file: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Afterwards `file` holds the arrays. Raises `ValueError` for arrays of Python's objects."""
    import numpy as np

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", THEN), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(arrays[name]), allow_pickle=False)


def load(file: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays. Raises `ConfigError` for a file that is damaged, too large, or none that `save` wrote."""
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("a trained router", "routers", "numpy") from error
    try:
        with zipfile.ZipFile(file) as archive:
            _check(archive)
            found: dict[str, NDArray[np.generic]] = {}
            for name in archive.namelist():
                with archive.open(name) as entry:
                    found[name.removesuffix(".npy")] = np.lib.format.read_array(entry, allow_pickle=False)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, MemoryError, NotImplementedError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error}") from error
    return found


def _check(archive: zipfile.ZipFile) -> None:
    """Raises `ValueError` for what would take more memory than the file has bytes, or than is allowed."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its arrays are compressed, which they never are in a file of ours")
    size = sum(entry.file_size for entry in entries)
    if size > MAX_BYTES:
        raise ValueError(f"its arrays have {size} bytes, and at most {MAX_BYTES} are read")
