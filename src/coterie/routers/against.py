"""Members that were each compared with one of them: their chances against it, as qualities of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def qualities(chances: NDArray[np.float64], reference: int) -> NDArray[np.float64]:
    """(queries, members), on the scale of scores, from the others' `chances` against the reference, (queries, others).

    A member's quality less the reference's is twice its chance less 1, so that `Scale.preference` of the reference
    over it is exactly 1 less its chance, for any number of members. The reference has the mean of its own chances.
    Two members get the chance p and 1 - p; of more, a quality can leave [0, 1], and only differences have a meaning.
    """
    import numpy as np

    level = (1.0 - chances).mean(axis=1, keepdims=True)
    return np.insert(level + 2.0 * chances - 1.0, reference, level[:, 0], axis=1)


def others(members: tuple[str, ...], reference: str) -> tuple[str, ...]:
    """All but the reference, in their order."""
    return tuple(member for member in members if member != reference)
