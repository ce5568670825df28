"""How an epoch is cut into updates and batches, and how draws are balanced."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from coterie.training.updates import MOST_REPEATS, Cost, balanced, cut, epoch, n_batches

COSTS = st.lists(st.builds(Cost, rows=st.integers(1, 3), length=st.integers(1, 400)), min_size=1, max_size=60)


def price(run: list[int], costs: list[Cost]) -> int:
    return max(costs[n].length for n in run) * sum(costs[n].rows for n in run)


@given(COSTS, st.integers(1, 5), st.integers(1, 5), st.integers())
def test_everything_is_read_once_in_updates_of_one_size(
    costs: list[Cost], batch: int, accumulate: int, seed: int
) -> None:
    updates = epoch(costs, batch, accumulate, Random(seed))
    assert updates == epoch(costs, batch, accumulate, Random(seed))
    assert sorted(n for update in updates for part in update for n in part) == list(range(len(costs)))
    assert sum(map(len, updates)) == n_batches(len(costs), batch, accumulate)
    if accumulate > 1:  # the Trainer counts batches off, so a shorter update can only stand last
        assert all(len(update) == accumulate for update in updates[:-1])
        assert all(sum(map(len, update)) == batch * accumulate for update in updates[:-1])
    assert all(part for update in updates for part in update)


@given(COSTS, st.integers(1, 6))
def test_no_other_cut_has_a_cheaper_dearest_batch(costs: list[Cost], parts: int) -> None:
    places = sorted(range(len(costs)), key=lambda n: -costs[n].length)[:9]
    found = cut(places, costs, parts)
    assert [n for run in found for n in run] == places
    assert len(found) == min(parts, len(places))
    assert max(price(run, costs) for run in found) == cheapest(places, costs, parts)


def cheapest(places: list[int], costs: list[Cost], parts: int) -> int:
    """By trying every cut."""
    whole = price(places, costs)
    if parts == 1 or len(places) == 1:
        return whole
    cuts = (max(price(places[:n], costs), cheapest(places[n:], costs, parts - 1)) for n in range(1, len(places)))
    return min(whole, *cuts)


def test_sorting_leaves_little_padding() -> None:
    rng = Random(0)
    costs = [Cost(1, round(rng.lognormvariate(5, 0.7))) for _ in range(2000)]
    for batch, accumulate in ((4, 16), (64, 1)):
        runs = [run for update in epoch(costs, batch, accumulate, Random(1)) for run in update]
        padded = sum(price(run, costs) for run in runs)
        share = 1 - sum(cost.length for cost in costs) / padded
        assert share < 0.12, (batch, accumulate)


def test_batches_of_an_update_cost_about_the_same() -> None:
    rng = Random(0)
    costs = [Cost(1, rng.randint(20, 400)) for _ in range(64)]
    prices = [price(run, costs) for run in cut(sorted(range(64), key=lambda n: -costs[n].length), costs, 8)]
    assert max(prices) < 1.4 * sum(prices) / len(prices)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=80), st.integers())
@example(["a", *"bbbbbbbbb", "c"], 0)
def test_balanced_draws_take_each_cell_equally_often_within_reason(cells: list[str], seed: int) -> None:
    drawn = balanced(cells, Random(seed))
    sizes, taken = Counter(cells), Counter(cells[n] for n in drawn)
    assert len(drawn) == len(cells)
    free = [taken[cell] for cell, size in sizes.items() if taken[cell] < MOST_REPEATS * size]
    assert max(free, default=0) - min(free, default=0) <= 1
    assert all(taken[cell] <= max(free) for cell, size in sizes.items() if free and taken[cell] == MOST_REPEATS * size)
    often = Counter(drawn)
    assert max(often.values()) <= MOST_REPEATS
    for cell in sizes:  # within a cell nobody is taken twice before everybody was taken once
        counts = [often[n] for n, own in enumerate(cells) if own == cell]
        assert max(counts) - min(counts) <= 1
