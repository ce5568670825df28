"""What skipping the ranking costs and saves, as "Efficient Blending" defines it (3.1.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coterie.errors import ConfigError

Measured = Sequence[float | None]
"""One number for each of the L items of a test set, ``None`` where it was not measured."""


def delta_quality(ranked: Measured, unranked: Measured) -> float | None:
    """Delta Q = 1/L sum of Q(r = 1) - Q(r = 0), over the items measured both ways: positive is quality lost.

    ``None`` where there is no such item. Raises `ConfigError` unless both speak of the same items.
    """
    return _mean_difference(ranked, unranked)


def delta_time_s(ranked: Measured, unranked: Measured) -> float | None:
    """Delta T = 1/L sum of T(r = 1) - T(r = 0), in seconds, over the items measured both ways: positive is time saved.

    ``None`` where there is no such item. Raises `ConfigError` unless both speak of the same items.
    """
    return _mean_difference(ranked, unranked)


def mean_quality(qualities: Measured) -> float | None:
    """Q(K, r) = 1/L sum of the qualities measured with one K and one r; ``None`` where none was."""
    known = [quality for quality in qualities if quality is not None]
    return math.fsum(known) / len(known) if known else None


def _mean_difference(ranked: Measured, unranked: Measured) -> float | None:
    if len(ranked) != len(unranked):
        raise ConfigError(
            f"{len(ranked)} items with ranking and {len(unranked)} without are not the same: give one number for each "
            "item both ways, None where it was not measured"
        )
    return mean_quality([a - b for a, b in zip(ranked, unranked, strict=True) if a is not None and b is not None])
