"""Lists of numbers and texts in the shapes that ``llm_blender`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stacked(rows: Sequence[Sequence[float]], dtype: type[np.generic] | str) -> NDArray[Any]:
    """One array where all rows are of one length, else an object array with an array a row."""
    import numpy as np

    arrays = [np.array(row, dtype=dtype) for row in rows]
    if len({len(row) for row in arrays}) <= 1:
        return np.stack(arrays) if arrays else np.zeros((0, 0), dtype=dtype)
    ragged = np.empty(len(arrays), dtype=object)
    ragged[:] = arrays
    return ragged


def get_topk_candidates_from_ranks(
    ranks: Sequence[Sequence[int]] | NDArray[Any], candidates: Sequence[Sequence[str]], top_k: int | None = None
) -> list[list[str]]:
    """Of each input the `top_k` candidates of the lowest ranks, best first; all of them for ``None``."""
    return [
        [texts[place] for place in sorted(range(len(texts)), key=lambda place: (int(row[place]), place))][:top_k]
        for row, texts in zip(ranks, candidates, strict=True)
    ]


def cut(items: Sequence[Any], size: int) -> list[list[Any]]:
    """`items` in lists of `size`; the last may be shorter."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
