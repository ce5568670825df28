"""Elo ratings: the published rule, nothing gained or lost in sum, and means over a member's own battles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.routers.elo import INITIAL, Battle, Ratings, expected, gained, replay

MEMBERS = 4
BATTLES = st.lists(
    st.tuples(st.integers(0, MEMBERS - 1), st.integers(0, MEMBERS - 1), st.sampled_from([0.0, 0.5, 1.0])).filter(
        lambda battle: battle[0] != battle[1]
    ),
    max_size=30,
)
AFTER_EACH = [(1016.0, 984.0), (1030.5305, 969.4695), (1027.7471, 972.2529), (1009.2130, 990.7870)]
"""Two at 1000 with K = 32, and the results 1, 1, 1/2, 0."""


def rated(battles: list[Battle], members: int = MEMBERS) -> Ratings:
    ratings = Ratings()
    for _ in range(members):
        ratings.join()
    ratings.add(battles)
    return ratings


def test_the_golden_sequence() -> None:
    results = (1.0, 1.0, 0.5, 0.0)
    for n, after in enumerate(AFTER_EACH, 1):
        ratings = rated([(0, 1, result) for result in results[:n]], 2)
        assert tuple(ratings.final) == pytest.approx(after, abs=5e-5)
        means = [sum(step[member] for step in AFTER_EACH[:n]) / n for member in range(2)]
        assert ratings.averages() == pytest.approx(means, abs=5e-5)


@pytest.mark.parametrize(("ahead", "share"), [(0, 1 / 2), (400, 10 / 11), (-400, 1 / 11), (800, 100 / 101)])
def test_four_hundred_points_are_ten_to_one(ahead: float, share: float) -> None:
    assert expected(1000.0 + ahead, 1000.0) == pytest.approx(share)


def test_far_apart_ratings_do_not_overflow() -> None:
    assert expected(1e7, -1e7) == 1.0
    assert expected(-1e7, 1e7) == 0.0


@settings(max_examples=25, deadline=None)
@given(BATTLES)
def test_what_one_gains_the_other_loses(battles: list[Battle]) -> None:
    assert sum(rated(battles).final) == pytest.approx(MEMBERS * INITIAL)


@settings(max_examples=25, deadline=None)
@given(BATTLES, st.floats(1.0, 100.0))
def test_a_replay_is_one_battle_after_the_other(battles: list[Battle], k: float) -> None:
    quick, slow = [INITIAL] * MEMBERS, [INITIAL] * MEMBERS
    replay(quick, battles, k)
    for first, second, result in battles:
        moved = gained(slow[first], slow[second], result, k)
        assert abs(moved) <= k
        slow[first] += moved
        slow[second] -= moved
    assert quick == pytest.approx(slow)


@settings(max_examples=25, deadline=None)
@given(BATTLES)
def test_the_side_does_not_matter(battles: list[Battle]) -> None:
    turned = rated([(second, first, 1.0 - result) for first, second, result in battles])
    assert list(turned.final) == pytest.approx(list(rated(battles).final))
    assert turned.averages() == pytest.approx(rated(battles).averages())


@settings(max_examples=25, deadline=None)
@given(BATTLES, BATTLES)
def test_later_battles_go_on_from_the_earlier_ones(before: list[Battle], after: list[Battle]) -> None:
    ratings = rated(before)
    ratings.add(after)
    assert ratings.final == rated(before + after).final
    assert ratings.averages() == rated(before + after).averages()


def test_who_fought_nobody_has_the_initial_rating_and_no_battle() -> None:
    ratings = rated([(0, 1, 1.0)], 3)
    assert (ratings.averages()[2], ratings.counts[2]) == (INITIAL, 0)


def test_who_joins_late_is_not_drawn_to_the_initial_rating() -> None:
    ratings = rated([(0, 1, 0.5)] * 500, 2)
    ratings.join()
    ratings.add([(2, 0, 1.0)] * 50)
    assert ratings.averages()[2] > INITIAL + 100.0
