"""Rules over pairwise judgements, on matrices small enough to reckon by hand."""

from __future__ import annotations

import math

import pytest

from coterie.ranking import bradley_terry, max_logits, max_wins, unbeaten
from coterie.ranking.pairwise import Reading, readings_of
from coterie.ranking.tournament import play, top_k
from coterie.types import Judgement

#       a     b     c
M = [[0.0, 2.0, -1.0], [-1.5, 0.0, 0.5], [1.0, -1.0, 0.0]]


def judged(matrix: list[list[float]], names: str = "abc") -> list[Judgement]:
    return [
        Judgement("ranker", (names[i], names[j]), (matrix[i][j], 0.0))
        for i in range(len(matrix))
        for j in range(len(matrix))
        if i != j
    ]


def test_max_logits_is_the_mean_over_the_field_as_the_reference_has_it() -> None:
    ranking = max_logits(judged(M), "abc")
    # score_i = (1/3) sum_j (M[i][j] - M[j][i])
    assert ranking.scores == pytest.approx({"a": (3.5 - 2.0) / 3, "b": (-3.5 + 1.5) / 3, "c": (2.0 - 1.5) / 3})
    assert ranking.order == ("a", "c", "b")


def test_max_wins_counts_readings_won() -> None:
    ranking = max_wins(judged(M), "abc")
    # a beats b in both readings, b beats c in both, c beats a in both
    assert ranking.scores == {"a": 2.0, "b": 2.0, "c": 2.0}
    assert ranking.ties == (("a", "b", "c"),)


def test_bradley_terry_of_two_matches_the_closed_form() -> None:
    # a wins 3 of 4 readings, and both draw once against a field of strength 1
    readings = [Judgement("r", ("a", "b"), (1.0, 0.0))] * 1
    ranking = bradley_terry([*readings, Judgement("r", ("b", "a"), (0.0, 1.0))], "ab")
    a, b = ranking.scores["a"], ranking.scores["b"]
    assert a is not None
    assert b is not None
    assert a == pytest.approx(-b)
    # By symmetry gamma_b = 1 / gamma_a; the fixed point of 2.5 = g / (g + 1) + 2 g / (g + 1 / g) ...
    gamma = math.exp(a)
    expected_wins = gamma / (gamma + 1) + 2 * gamma / (gamma + 1 / gamma)
    assert expected_wins == pytest.approx(2.5, abs=1e-6)


def test_unbeaten_puts_first_whoever_lost_to_nobody() -> None:
    line = [Judgement("r", pair, (1.0, 0.0)) for pair in (("b", "a"), ("b", "c"), ("a", "c"))]
    assert unbeaten(line, "abc").order == ("b", "a", "c")
    circle = unbeaten(judged(M), "abc")
    assert circle.ties == (("a", "b", "c"),)


def test_unbeaten_reads_a_tournament_as_it_was_decided() -> None:
    values = [3, 9, 1, 7, 5, 8]
    names = "abcdef"
    asked: list[Judgement] = []

    def compare(pairs: list[tuple[int, int]]) -> list[float]:
        margins = [float(values[i] - values[j]) for i, j in pairs]
        asked.extend(Judgement("r", (names[i], names[j]), (m, 0.0)) for (i, j), m in zip(pairs, margins, strict=True))
        return margins

    outcome = play(top_k(6, 3), compare)
    assert unbeaten(asked, names).order[:3] == tuple(names[i] for i in outcome.best) == ("b", "f", "d")


def test_who_is_not_compared_has_no_score_and_stands_last() -> None:
    pair = [Judgement("r", ("b", "c"), (1.0, 0.0))]
    for rule in (max_logits, max_wins, unbeaten):
        ranking = rule(pair, "abc")
        assert ranking.scores["a"] is None
        assert ranking.order[0] == "b"
    assert bradley_terry(pair, "abc").scores["a"] is None


def test_judgements_of_one_pair_by_several_judges_are_averaged() -> None:
    both = [Judgement("x", ("a", "b"), (1.0, 0.0)), Judgement("y", ("a", "b"), (0.0, 2.0))]
    assert readings_of(both, "ab") == {("a", "b"): Reading(-0.5, 1.0)}


# ---- weights ----------------------------------------------------------------------------------


def by(judge: str, weight: float, a: str, b: str, logit: float) -> Judgement:
    return Judgement(judge, (a, b), (logit, 0.0), weight=weight)


def test_judges_of_one_pair_are_averaged_by_their_weights() -> None:
    both = [by("x", 3.0, "a", "b", 1.0), by("y", 1.0, "a", "b", -2.0)]
    assert readings_of(both, "ab") == {("a", "b"): Reading(0.25, 1.0)}


def test_a_reading_counts_as_much_as_who_made_it() -> None:
    forth, back = by("x", 3.0, "a", "b", 1.0), by("y", 1.0, "b", "a", 2.0)
    assert max_logits([forth, back], "ab").scores == pytest.approx({"a": (1.5 - 1.0) / 2, "b": (1.0 - 1.5) / 2})
    assert max_wins([forth, back], "ab").scores == pytest.approx({"a": 1.5, "b": 0.5})
    assert unbeaten([forth, back], "ab").best == "a"
    strength = bradley_terry([forth, back], "ab").scores["a"]
    assert strength is not None
    assert strength > 0
    assert bradley_terry([by("x", 1.0, "a", "b", 1.0), back], "ab").ties == (("a", "b"),)
