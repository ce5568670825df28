"""Bradley-Terry strengths, against RouteLLM's logistic regression over duplicated battles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.prospects import Scale
from coterie.routers.bradley_terry import elo, has_maximum, strengths, wins_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A beats B three times and loses once, so does B against C, and A and C tie.
FIRST, SECOND = np.array([0, 0, 0, 1, 1, 1, 1, 2, 0]), np.array([1, 1, 1, 0, 2, 2, 2, 1, 2])
RESULT = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0.5])
SIMILARITIES = np.linspace(1.0, 0.2, 9)


def reference(first: Ints, second: Ints, result: Floats, n: int, weights: Floats) -> Floats:
    """Elo by L-BFGS over the battles as RouteLLM lays them out: twice each, a tie once won and once lost."""
    optimize = pytest.importorskip("scipy.optimize", reason="the reference solution needs the extra routers")
    rows = np.zeros((2 * len(first), n))
    rows[np.arange(len(rows)), np.tile(first, 2)] = math.log(10.0)
    rows[np.arange(len(rows)), np.tile(second, 2)] = -math.log(10.0)
    signs = np.where(np.concatenate([result > 0, result == 1]), 1.0, -1.0)
    twice = np.tile(weights, 2) / weights.sum()

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = signs * (rows @ at)
        missed = 1.0 / (1.0 + np.exp(margins))
        return float((twice * np.logaddexp(0.0, -margins)).sum()), -(rows.T @ (twice * signs * missed))

    found = optimize.minimize(loss, np.zeros(n), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15})
    points: Floats = 400.0 * found.x + 1000.0
    return points


def test_elo_of_the_worked_example() -> None:
    found = elo(strengths(wins_of(FIRST, SECOND, RESULT, 3)))
    assert found == pytest.approx([1125.24, 1000.00, 874.76], abs=0.01)


def test_elo_of_the_worked_example_by_similarity() -> None:
    weights = 10.0 * 10.0 ** (SIMILARITIES / SIMILARITIES.max())
    found = elo(strengths(wins_of(FIRST, SECOND, RESULT, 3, weights)))
    # The known values, 1234.33, 987.73, 777.94 and 0.93259, are scikit-learn's where it stops, at a gradient of 1e-4.
    assert found == pytest.approx([1234.33, 987.73, 777.94], abs=0.04)
    assert Scale.ELO.preference(found[0], found[2]) == pytest.approx(0.93259, abs=3e-5)
    # Let run on to 1e-10, it comes to these.
    assert found == pytest.approx([1234.36490, 987.71581, 777.91929], abs=1e-3)


@pytest.mark.parametrize(("members", "battles"), [(2, 30), (8, 600)])
def test_random_battles_come_within_a_hundredth_of_the_reference(members: int, battles: int) -> None:
    rng = np.random.default_rng(battles)
    true = rng.normal(0.0, 1.0, members)
    first = rng.integers(0, members, battles)
    second = (first + rng.integers(1, members, battles)) % members
    result = (rng.random(battles) < 1.0 / (1.0 + np.exp(true[second] - true[first]))).astype(np.float64)
    result[rng.random(battles) < 0.3] = 0.5
    weights = 10.0 ** rng.uniform(1.0, 2.0, battles)
    found = elo(strengths(wins_of(first, second, result, members, weights)))
    assert found == pytest.approx(reference(first, second, result, members, weights), abs=0.01)


def test_two_members_match_the_closed_form() -> None:
    wins = np.array([[0.0, 7.5], [2.5, 0.0]])
    first, second = elo(strengths(wins))
    assert first - second == pytest.approx(400.0 * math.log10(3.0))
    assert first + second == pytest.approx(2000.0)


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_only_the_proportions_of_weights_count(factor: float) -> None:
    wins = wins_of(FIRST, SECOND, RESULT, 3)
    assert strengths(wins * factor) == pytest.approx(strengths(wins), abs=1e-8)


def test_where_it_starts_does_not_matter() -> None:
    wins = wins_of(FIRST, SECOND, RESULT, 3)
    for start in ([0.0, 0.0, 0.0], [30.0, -30.0, 5.0], [-2.0, 40.0, 900.0]):
        assert strengths(wins, start=np.array(start)) == pytest.approx(strengths(wins), abs=1e-8)


def test_a_battle_with_oneself_says_nothing() -> None:
    wins = wins_of(FIRST, SECOND, RESULT, 3)
    assert strengths(wins + np.diag([5.0, 0.0, 90.0])) == pytest.approx(strengths(wins), abs=1e-9)


# ---- no maximum -----------------------------------------------------------------------------------

UNBEATEN = np.array([[0.0, 3.0, 2.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
GROUPS = np.kron(np.eye(2), np.array([[0.0, 3.0], [1.0, 0.0]]))


@pytest.mark.parametrize(
    ("wins", "one"),
    [
        (UNBEATEN, False),
        (UNBEATEN.T, False),
        (GROUPS, False),
        (np.zeros((2, 2)), False),
        (np.zeros((1, 1)), True),
        (np.roll(np.eye(7), 1, axis=1), True),
        (wins_of(FIRST, SECOND, RESULT, 3), True),
    ],
    ids=["unbeaten", "winless", "groups", "no battles", "alone", "circle", "example"],
)
def test_there_is_a_maximum_where_wins_lead_from_everyone_to_everyone(wins: Floats, one: bool) -> None:
    assert has_maximum(wins) is one


@pytest.mark.parametrize("wins", [UNBEATEN, UNBEATEN.T, np.zeros((2, 2))])
def test_without_a_maximum_nothing_is_made_up(wins: Floats) -> None:
    with pytest.raises(ValueError, match="never met"):
        strengths(wins)


@pytest.mark.parametrize("wins", [UNBEATEN, UNBEATEN.T, GROUPS, np.zeros((2, 2))])
def test_a_draw_of_everybody_makes_all_finite_and_keeps_who_won(wins: Floats) -> None:
    found = strengths(wins, draws=1.0)
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(0.0, abs=1e-9)
    for a, b in zip(*np.nonzero(wins > wins.T), strict=True):
        assert found[a] > found[b]


@settings(max_examples=30)
@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.sampled_from([0.0, 0.5, 1.0, 40.0]), min_size=n * n, max_size=n * n).map(
            lambda cells: np.array(cells).reshape(n, n)
        )
    )
)
def test_everybody_wins_as_much_as_was_to_be_expected(wins: Floats) -> None:
    """The likelihood's gradient is 0: what each has won is what the strengths foretell, the draw included."""
    found = strengths(wins, draws=1.0)
    field = found - (found.mean() - _field(wins, found))
    chance = 1.0 / (1.0 + np.exp(found[None, :] - found[:, None]))
    expected = ((wins + wins.T) * chance).sum(axis=1) + 1.0 / (1.0 + np.exp(-field))
    assert expected == pytest.approx(wins.sum(axis=1) + 0.5, abs=1e-5)


def _field(wins: Floats, found: Floats) -> float:
    """The mean strength above the one that everybody drew against, at which all draws together come out even."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2.0
        total = (1.0 / (1.0 + np.exp(-(found + middle)))).sum()
        low, high = (middle, high) if total < len(wins) / 2.0 else (low, middle)
    return low
