"""Which pairs of an example are read: by the specification of each way, and what holds for all of them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.training.quality import mean
from coterie.training.sampling import Draws, Sampling, extremes, pairs, spread

WAYS: tuple[Sampling, ...] = ("all_pair", "top_bottom", "uniform", "random")


def unordered(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [tuple(sorted(pair)) for pair in found]


def scored(*values: float) -> list[tuple[float, ...]]:
    return [(value,) for value in values]


# ---- each way -----------------------------------------------------------------------------------


def test_all_pair_takes_every_pair_where_there_is_room() -> None:
    found = pairs(scored(1, 2, 3), Draws("all_pair", 5, 5), Random(0))
    assert sorted(unordered(found)) == [(0, 1), (0, 2), (1, 2)]


def test_all_pair_takes_as_many_as_the_smaller_number_says() -> None:
    found = pairs(scored(*range(11)), Draws("all_pair", 7, 4), Random(0))
    assert len(found) == len(set(unordered(found))) == 4


def test_all_pair_draws_every_pair_alike() -> None:
    rng = Random(1)
    draws = Draws("all_pair", 2, 2)
    seen = Counter(pair for _ in range(3000) for pair in unordered(pairs(scored(1, 2, 3, 4), draws, rng)))
    assert set(seen) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert max(seen.values()) - min(seen.values()) < 200  # 1000 each, a standard deviation of 26


def test_top_bottom_puts_the_kth_best_beside_the_kth_of_the_worst() -> None:
    # Best first: 3, 0, 4, 1, 2.
    found = pairs(scored(8, 3, 1, 9, 5), Draws("top_bottom", 2, 3), Random(0))
    assert unordered(found) == [(1, 3), (0, 2)]


def test_top_bottom_of_few_candidates_pairs_none_with_itself() -> None:
    assert unordered(pairs(scored(1, 2), Draws("top_bottom", 5, 5), Random(0))) == [(0, 1)]
    assert unordered(pairs(scored(1, 2, 3), Draws("top_bottom", 5, 5), Random(0))) == [(1, 2), (0, 1)]


def test_uniform_thins_the_order_and_pairs_neighbours() -> None:
    # Best first: 6, 5, 4, 3, 2, 1, 0; every second of them: 6, 4, 2, 0.
    found = pairs(scored(*range(7)), Draws("uniform", ratio=0.5), Random(0))
    assert unordered(found) == [(4, 6), (2, 4), (0, 2)]
    assert unordered(pairs(scored(1, 2), Draws("uniform", ratio=0.3), Random(0))) == [(0, 1)]


def test_random_may_draw_a_pair_twice() -> None:
    found = pairs(scored(1, 2, 3), Draws("random", 40, 40), Random(0))
    assert len(found) == 40
    assert set(unordered(found)) == {(0, 1), (0, 2), (1, 2)}


# ---- all of them --------------------------------------------------------------------------------

QUALITIES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=0, max_size=9)


@given(QUALITIES, st.sampled_from(WAYS), st.integers(1, 6), st.floats(0.1, 1.0), st.integers(), st.booleans())
def test_every_pair_is_of_the_example_and_decides_something(
    qualities: list[tuple[float, ...]], way: Sampling, n: int, ratio: float, seed: int, ties: bool
) -> None:
    found = pairs(qualities, Draws(way, n, n + 1, ratio), Random(seed), ties=ties)
    assert found == pairs(qualities, Draws(way, n, n + 1, ratio), Random(seed), ties=ties)
    assert all(len(pair) == 2 and set(pair) <= set(range(len(qualities))) for pair in found)
    if not ties:
        assert all(qualities[a] != qualities[b] for a, b in found)
    if way != "uniform":
        assert len(found) <= n
    if way == "all_pair":
        assert len(set(unordered(found))) == len(found)
    if len(qualities) > 1:
        assert all(a != b for a, b in found)


@pytest.mark.parametrize("way", WAYS)
def test_a_single_candidate_meets_itself_and_none_nobody(way: Sampling) -> None:
    assert pairs(scored(1), Draws(way), Random(0)) == [(0, 0)]
    assert pairs(scored(1), Draws(way), Random(0), ties=False) == []
    assert pairs([], Draws(way), Random(0)) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_pair_is_turned_round_half_of_the_time(way: Sampling) -> None:
    rng = Random(3)
    turned = sum(pairs(scored(2, 1), Draws(way, 1, 1), rng)[0] == (1, 0) for _ in range(2000))
    assert 900 < turned < 1100


# ---- lists --------------------------------------------------------------------------------------


def test_spread_takes_every_third_best_first() -> None:
    assert spread(scored(*range(8)), Draws("uniform", ratio=0.3)) == [(7, 4, 1)]
    assert spread(scored(1, 2), Draws("uniform", ratio=0.3)) == [(1, 0)]
    assert spread(scored(1, 1), Draws("uniform", ratio=0.3)) == []
    assert spread(scored(1), Draws("uniform", ratio=0.3)) == []


def test_extremes_are_the_best_and_the_worst() -> None:
    assert extremes(scored(4, 9, 1, 5), Draws("top_bottom", 1, 1)) == [(1, 2)]
    assert extremes(scored(4, 9, 1, 5), Draws("top_bottom", 2, 1)) == [(1, 3, 2)]
    assert extremes(scored(4, 9), Draws("top_bottom", 5, 5)) == [(1, 0)]
    assert extremes(scored(4, 4), Draws("top_bottom", 1, 1)) == []


@given(QUALITIES, st.integers(1, 4), st.integers(1, 4), st.floats(0.1, 1.0))
def test_lists_hold_nobody_twice_and_the_best_first(
    qualities: list[tuple[float, ...]], n: int, m: int, ratio: float
) -> None:
    for found in (*spread(qualities, Draws(ratio=ratio)), *extremes(qualities, Draws("top_bottom", n, m))):
        assert len(set(found)) == len(found) >= 2
        values = [mean(qualities[place]) for place in found]
        assert values == sorted(values, reverse=True)
