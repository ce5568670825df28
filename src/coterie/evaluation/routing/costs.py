"""What each call costs, for curves over cost: nothing is free because nobody wrote its price down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.routers.spending import guess_tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.outcomes.outcome import Outcomes
    from coterie.types import Price

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Costs:
    """USD for every call, all of them known."""

    usd: Array
    """(prompts, members)"""
    notes: tuple[str, ...] = ()
    """What was not recorded, and what stands in its place."""


@dataclass(frozen=True)
class Given:
    """Prices that the data do not say."""

    usd: Mapping[str, float] = field(default_factory=dict)
    """Of a query, by member."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """USD per million tokens, by member; the prompt's tokens are guessed as a run guesses them."""


def costs_of(outcomes: Outcomes, given: Given = Given()) -> Costs:
    """What was recorded. Where nothing was: the given price of the call's tokens where these are known, the member's
    given USD for a query, or else the mean of what it is known to cost.

    Raises `ConfigError` naming the members of which no cost is known at all, and for a price that is none.
    """
    import numpy as np

    _check(outcomes.members, given)
    usd = outcomes.costs_usd.copy()
    notes = []
    for n, member in enumerate(outcomes.members):
        missing = np.isnan(usd[:, n])
        if not missing.any():
            continue
        usd[:, n] = np.where(missing, _priced(outcomes, n, given), usd[:, n])
        still = np.isnan(usd[:, n])
        by = "taken by its tokens' price" if not still.all() and member in given.prices else ""
        if member in given.usd:
            usd[still, n], by = given.usd[member], f"taken as {given.usd[member]:g} USD a query"
        elif still.any() and not still.all():
            usd[still, n], by = np.nanmean(usd[:, n]), by or "taken as the mean of its other calls"
        notes.append(f"{member}: the cost of {int(missing.sum())} of {len(usd)} calls was not recorded and is {by}")
    priceless = [member for n, member in enumerate(outcomes.members) if np.isnan(usd[:, n]).any()]
    if priceless:
        raise ConfigError(
            f"no cost is known of {', '.join(map(repr, priceless))}, so there is no curve over cost: an unknown price "
            "is not 0. Record costs in the data, or give a price for each of them"
        )
    return Costs(usd, tuple(notes))


def _priced(outcomes: Outcomes, column: int, given: Given) -> Array:
    """What each answer of a member costs by its tokens, (prompts,); NaN where tokens or price are unknown."""
    import numpy as np

    price = given.prices.get(outcomes.members[column])
    if price is None:
        return np.full(len(outcomes), np.nan)
    read = np.array([guess_tokens(prompt) for prompt in outcomes.prompts], dtype=np.float64)
    written = outcomes.output_tokens[:, column]
    found: Array = (read * price.input_usd + written * price.output_usd) / 1e6
    return found


def _check(members: tuple[str, ...], given: Given) -> None:
    for member in (*given.usd, *given.prices):
        if member not in members:
            raise ConfigError(f"a price is given for {member!r}, which is not among the members: {list(members)!r}")
    for member, usd in given.usd.items():
        if not (math.isfinite(usd) and usd >= 0):
            raise ConfigError(f"the price of {member!r} is USD for a query, not {usd!r}")
