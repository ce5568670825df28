"""Bradley-Terry strengths of a few, without NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping

SETTLED = 1e-9

MOST_STEPS = 10_000


def field_strengths(wins: Mapping[str, float], met: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Strength (natural logarithm, mean 0) of everyone in `met`, who also drew once against one of mean strength.

    `wins` is by id and holds that draw's half; `met` is by id and opponent, without it. So one that won or lost
    everything has a finite strength. Fitted by Hunter's minorisation-maximisation (2004) to 1e-9.
    """
    gamma = dict.fromkeys(met, 1.0)
    for _ in range(MOST_STEPS if gamma else 0):
        fresh = {
            i: wins[i] / (1 / (gamma[i] + 1) + math.fsum(n / (gamma[i] + gamma[j]) for j, n in met[i].items()))
            for i in gamma
        }
        step = max(abs(math.log(fresh[i] / gamma[i])) for i in gamma)
        gamma = fresh
        if step < SETTLED:
            break
    centre = math.fsum(map(math.log, gamma.values())) / max(1, len(gamma))
    return {i: math.log(value) - centre for i, value in gamma.items()}
