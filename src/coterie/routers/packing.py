"""A text's vector as a journal keeps it: half precision, in base64.

Half precision has eleven bits, so a vector of length 1 comes back within 5e-4, and the cosine of two such moves by less
than 1e-3. 384 numbers take 1,024 characters, and single precision would take twice as many.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from coterie.routers.learning import Unreadable
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 65_504.0
"""The largest number in half precision."""


def packed(vector: NDArray[np.float32]) -> str:
    """`vector` as ASCII. Raises `ValueError` for numbers that half precision cannot hold."""
    import numpy as np

    if not np.all(np.abs(vector) <= LARGEST):  # NaN is not, either
        raise ValueError(f"a vector to be kept has numbers up to {LARGEST:g}, unlike {vector!r:.80}")
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def unpacked(text: Json, dimensions: int | None = None) -> NDArray[np.float32]:
    """The vector that `packed` wrote. Raises `Unreadable` for what is none or has another length."""
    import numpy as np

    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"{text!r:.80} is no vector: {error}") from error
    if not raw or len(raw) % 2:
        raise Unreadable(f"{text!r:.80} is no vector")
    vector = np.frombuffer(raw, dtype="<f2").astype(np.float32)
    if dimensions is not None and len(vector) != dimensions:
        raise Unreadable(f"a vector of {len(vector)} numbers stands among vectors of {dimensions}")
    if not np.isfinite(vector).all():
        raise Unreadable("a vector holds what is no number")
    return vector
