"""Tournaments: what they decide, and how few comparisons they need for it."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from coterie.ranking.tournament import Round, bubble, full, play, top_k

FIELDS = st.integers(1, 40).flatmap(lambda n: st.permutations(list(range(n))))


def oracle(values: list[int]) -> object:
    return lambda asked: [float(values[a] - values[b]) for a, b in asked]


@given(FIELDS, st.integers(1, 6))
def test_top_k_finds_the_first_places_within_its_bound(values: list[int], k: int) -> None:
    n = len(values)
    outcome = play(top_k(n, k), oracle(values))  # type: ignore[arg-type]
    assert list(outcome.best) == sorted(range(n), key=lambda i: -values[i])[:k]
    depth = math.ceil(math.log2(n)) if n > 1 else 0
    assert outcome.comparisons <= n - 1 + (min(k, n) - 1) * depth
    assert outcome.comparisons <= n * (n - 1) // 2


@given(FIELDS)
def test_a_knock_out_needs_n_minus_one_comparisons_in_log_n_rounds(values: list[int]) -> None:
    n = len(values)
    outcome = play(top_k(n), oracle(values))  # type: ignore[arg-type]
    assert outcome.comparisons == n - 1
    assert outcome.rounds == (math.ceil(math.log2(n)) if n > 1 else 0)


@given(FIELDS, st.booleans(), st.integers(0, 3))
def test_a_bubble_finds_the_best_or_the_worst_one_after_another(values: list[int], worst: bool, seed: int) -> None:
    outcome = play(bubble(len(values), random.Random(seed), worst=worst), oracle(values))  # type: ignore[arg-type]
    wanted = (min if worst else max)(range(len(values)), key=values.__getitem__)
    assert outcome.best == (wanted,)
    assert outcome.comparisons == outcome.rounds == len(values) - 1


@given(FIELDS)
def test_the_worst_is_the_best_of_the_field_upside_down(values: list[int]) -> None:
    outcome = play(top_k(len(values), 2, worst=True), oracle(values))  # type: ignore[arg-type]
    assert list(outcome.best) == sorted(range(len(values)), key=values.__getitem__)[:2]


@given(FIELDS)
def test_full_compares_every_pair_once_in_one_round(values: list[int]) -> None:
    n = len(values)
    outcome = play(full(n), oracle(values))  # type: ignore[arg-type]
    assert list(outcome.best) == sorted(range(n), key=lambda i: -values[i])
    assert outcome.comparisons == n * (n - 1) // 2


@given(FIELDS, st.integers(1, 4))
def test_a_round_holds_nobody_twice_and_no_pair_is_asked_again(values: list[int], k: int) -> None:
    seen: set[frozenset[int]] = set()

    def compare(asked: Round) -> list[float]:
        places = [place for pair in asked for place in pair]
        assert len(places) == len(set(places))
        for pair in asked:
            assert frozenset(pair) not in seen
            seen.add(frozenset(pair))
        return [float(values[a] - values[b]) for a, b in asked]

    play(top_k(len(values), k), compare)


def test_ties_go_to_whoever_stands_first_and_an_empty_field_has_no_best() -> None:
    assert play(top_k(5, 3), lambda asked: [0.0] * len(asked)).best[0] == 0
    assert play(top_k(0, 3), lambda asked: []).best == ()
    assert play(bubble(0), lambda asked: []).best == ()
    assert play(full(0), lambda asked: []).best == ()


def test_a_bubble_without_randomness_keeps_the_given_order() -> None:
    asked: list[tuple[int, int]] = []

    def compare(pairs: Round) -> list[float]:
        asked.extend(pairs)
        return [0.0]

    assert play(bubble(3), compare).best == (2,)  # a tie lets the later one go on
    assert asked == [(0, 1), (1, 2)]
