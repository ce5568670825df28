"""Kendall's W: his own formula where ballots are complete, and what stands for it where they are not."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.signals import concordance

IDS = "abcd"


def ranked(*best_first: str) -> dict[str, float]:
    return {id_: float(-place) for place, id_ in enumerate(best_first)}


def kendalls_own(ballots: Sequence[Mapping[str, float]]) -> float:
    """W = 12 S / (m^2 (n^3 - n)) of the sums of ranks, for complete ballots without ties."""
    m, n = len(ballots), len(ballots[0])
    sums = [
        sum(sorted(ballot.values(), reverse=True).index(ballot[id_]) + 1 for ballot in ballots) for id_ in ballots[0]
    ]
    deviations = sum((total - sum(sums) / n) ** 2 for total in sums)
    return 12 * deviations / (m**2 * (n**3 - n))


def test_three_complete_ballots_by_hand() -> None:
    # Sums of ranks 4, 6, 8, 12 about their mean of 7.5: S = 35, W = 12 * 35 / (9 * 60).
    ballots = [ranked(*"abcd"), ranked(*"bacd"), ranked(*"acbd")]
    assert concordance(ballots) == pytest.approx(35 / 45)


@given(orders=st.lists(st.permutations(list(IDS)), min_size=2, max_size=6))
def test_complete_ballots_without_ties_have_kendalls_own(orders: list[list[str]]) -> None:
    ballots = [ranked(*order) for order in orders]
    assert concordance(ballots) == pytest.approx(kendalls_own(ballots), abs=1e-12)


def test_one_mind_is_one_and_opposites_are_nothing() -> None:
    peers = [ranked(*(id_ for id_ in "abcd" if id_ != own)) for own in "abcd"]
    assert concordance(peers) == pytest.approx(1.0)
    assert concordance([ranked(*"abcd"), ranked(*"dcba")]) == 0.0
    assert concordance([{"a": 1.0, "b": 2.0}, {"b": 1.0, "a": 2.0}, {"a": 1.0, "b": 2.0}]) == pytest.approx(1 / 9)


def test_three_peers_share_too_little() -> None:
    assert concordance([ranked("b", "c"), ranked("a", "c"), ranked("a", "b")]) is None


def test_who_tells_nothing_apart_is_not_compared() -> None:
    flat = dict.fromkeys(IDS, 3.0)
    assert concordance([ranked(*IDS), flat]) is None
    assert concordance([ranked(*IDS), ranked(*IDS), flat, {}]) == pytest.approx(1.0)
    assert concordance([]) is None


def test_ties_are_corrected_for() -> None:
    # (4, 4, 2, 1) and (4, 3, 2, 1): mid-ranks 3.5 3.5 2 1 and 4 3 2 1, r = 4.5 / sqrt(4.5 * 5), W = (1 + r) / 2.
    ballots = [{"a": 4.0, "b": 4.0, "c": 2.0, "d": 1.0}, ranked(*IDS)]
    assert concordance(ballots) == pytest.approx((1 + 4.5 / (4.5 * 5) ** 0.5) / 2)


@st.composite
def incomplete(draw: st.DrawFn) -> list[dict[str, float]]:
    return [
        {id_: float(draw(st.integers(1, 5))) for id_ in draw(st.lists(st.sampled_from(IDS), unique=True))}
        for _ in range(draw(st.integers(0, 5)))
    ]


@given(ballots=incomplete(), seed=st.integers())
def test_neither_names_nor_order_nor_scale_matter(ballots: list[dict[str, float]], seed: int) -> None:
    here = concordance(ballots)
    renamed = [{id_.upper(): 2 * score - 7 for id_, score in reversed(ballot.items())} for ballot in ballots]
    random.Random(seed).shuffle(renamed)
    there = concordance(renamed)
    assert (here is None) == (there is None)
    if here is not None:
        assert there == pytest.approx(here, abs=1e-9)
        assert 0 <= here <= 1 + 1e-12
