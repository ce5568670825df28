"""What a fitted router says of one query, as prospects."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coterie.prospects import Prospect, Prospects, Scale
from coterie.routers.forecast import Forecast


def prospects(kind: str, scale: Scale, members: Sequence[str], forecast: Forecast) -> Prospects:
    """The first query's row, whose columns are `members`; no quality where it has none (NaN)."""
    qualities = forecast.quality[0].tolist()
    spread = [math.nan] * len(members) if forecast.uncertainty is None else forecast.uncertainty[0].tolist()
    rows = zip(members, qualities, spread, strict=True)
    return Prospects(
        kind,
        scale,
        tuple(Prospect(member, _known(quality), uncertainty=_known(off)) for member, quality, off in rows),
        forecast.basis[0] if forecast.basis else "",
    )


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
