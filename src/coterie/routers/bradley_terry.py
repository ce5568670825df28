"""Bradley-Terry strengths from weighted battles, as RouteLLM fits them for every query (2406.18665).

RouteLLM's code runs an unpenalised logistic regression over all battles, each standing there twice. Its likelihood is
that of the weighted wins of each over each, times two, so the wins are counted once and M strengths are left to find.

`coterie.ranking` has a Bradley-Terry of its own, of a handful of candidates, without NumPy and with a draw of
everybody that is always there; this one is fitted hundreds of times a second and adds nothing where it need not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ELO_MEAN = 1000.0

ELO_PER_NAT = 400.0 / math.log(10.0)

SETTLED = 1e-6
"""Nats. A Newton step that is shorter is the last: after it the error is of the order of its square."""

MOST_STEPS = 200


def wins_of(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    result: NDArray[np.float64],
    n_members: int,
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """(members, members): how much the row's member has won over the column's; a tie is half a win of each.

    `first` and `second` are places of members, `result` is 1 where the first has won, 0 where the second has, and 1/2
    for a tie. Without `weights` every battle is one.
    """
    weight = np.ones(len(result)) if weights is None else weights
    wins = np.zeros((n_members, n_members))
    np.add.at(wins, (first, second), weight * result)
    np.add.at(wins, (second, first), weight * (1.0 - result))
    return wins


def has_maximum(wins: NDArray[np.float64]) -> bool:
    """Whether the likelihood of `wins` has one maximum: whether a chain of wins leads from everyone to everyone.

    It does not where some members never lost to any of the others, or never met them (Ford 1957).
    """
    reached = (wins > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(max(1, len(wins)).bit_length()):
        reached = reached.astype(np.float32) @ reached.astype(np.float32) > 0
    return bool(reached.all())


def strengths(
    wins: NDArray[np.float64], draws: float = 0.0, start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """(members,) strengths of the largest likelihood: natural logarithms with the mean 0, right to 1e-9.

    With `draws` everybody also draws against one of strength 0, with that weight, so that there is a maximum whatever
    was won. Without, raises `ValueError` for `wins` that have none (`has_maximum`).
    Newton's method with halved steps; from a near `start` it takes two or three.
    """
    if not (draws or has_maximum(wins)):
        raise ValueError("no strengths are the most likely: somebody has won everything, or groups have never met")
    now = np.zeros(len(wins))
    reached = _loss(wins, now, draws)
    if start is not None and (near := _loss(wins, start - start.mean(), draws)) < reached:
        now, reached = start - start.mean(), near
    met = wins + wins.T
    for _ in range(MOST_STEPS):
        step = _newton(wins, met, now, draws)
        if np.abs(step).max(initial=0.0) < SETTLED:
            now = now + step
            break
        share = 1.0
        while (loss := _loss(wins, now + share * step, draws)) > reached * (1.0 + 1e-12) and share > 1e-9:
            share /= 2.0
        now, reached = now + share * step, loss
    return now - now.mean() if len(now) else now


def elo(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elo points: 400 more for ten times the odds, and 1000 for the mean."""
    points: NDArray[np.float64] = ELO_MEAN + ELO_PER_NAT * strength
    return points


def _loss(wins: NDArray[np.float64], at: NDArray[np.float64], draws: float) -> float:
    behind = at[None, :] - at[:, None]
    field = np.logaddexp(0.0, at) - at / 2.0
    return float((wins * np.logaddexp(0.0, behind)).sum() + draws * field.sum())


def _newton(
    wins: NDArray[np.float64], met: NDArray[np.float64], at: NDArray[np.float64], draws: float
) -> NDArray[np.float64]:
    """The step to the maximum of the likelihood's second-order expansion, among strengths of one mean."""
    chance = np.exp(-np.logaddexp(0.0, at[None, :] - at[:, None]))
    field = np.exp(-np.logaddexp(0.0, -at))
    uphill = wins.sum(axis=1) - (met * chance).sum(axis=1) + draws * (0.5 - field)
    informed = met * chance * chance.T
    curve = np.diag(informed.sum(axis=1) + draws * field * (1.0 - field)) - informed
    if not draws:
        # Without a field only differences count: the mean is held, in the curve's own unit.
        curve = curve + np.trace(curve) / max(1, len(at)) ** 2
    step: NDArray[np.float64] = np.linalg.solve(curve, uphill)
    return step
