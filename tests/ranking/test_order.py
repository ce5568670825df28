"""From points to an order: where ties are broken and silence is placed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.ranking.order import by_points, points_of_places
from coterie.types import Ranking


def test_most_points_come_first() -> None:
    assert by_points({"a": 1.0, "b": 3.0, "c": 2.0}, "abc", "some") == Ranking(
        ("b", "c", "a"), {"a": 1.0, "b": 3.0, "c": 2.0}, "some"
    )


def test_equal_points_keep_the_order_of_the_pool_and_are_named() -> None:
    made = by_points({"a": 1.0, "b": 2.0, "c": 1.0, "d": 2.0}, "dcba", "some")
    assert made.order == ("d", "b", "c", "a")
    assert made.ties == (("d", "b"), ("c", "a"))


def test_what_differs_only_by_rounding_is_equal() -> None:
    assert by_points({"a": 0.1 + 0.2, "b": 0.3}, "ba", "some").ties == (("b", "a"),)
    assert by_points({"a": 0.3 + 1e-11, "b": 0.3}, "ba", "some").ties == ()


def test_silence_comes_last_unless_told_otherwise() -> None:
    points = {"a": None, "b": 0.2, "c": 0.8}
    assert by_points(points, "abc", "some").order == ("c", "b", "a")
    assert by_points(points, "abc", "some", unheard=0.5).order == ("c", "a", "b")


def test_silence_ties_with_those_it_stands_among_and_keeps_no_score() -> None:
    made = by_points({"a": None, "b": 0.5, "c": None}, "cba", "some", unheard=0.5)
    assert made.order == ("c", "b", "a")
    assert made.ties == (("c", "b", "a"),)
    assert made.scores == {"c": None, "b": 0.5, "a": None}
    assert made.notes == ("no ballot spoke of c, a",)


def test_an_id_without_an_entry_is_silent() -> None:
    assert by_points({"a": 1.0}, "ba", "some").scores == {"b": None, "a": 1.0}


def test_points_of_others_are_left_out() -> None:
    assert by_points({"a": 1.0, "z": 9.0}, "a", "some") == Ranking(("a",), {"a": 1.0}, "some")


def test_notes_of_the_rule_come_before_those_on_silence() -> None:
    assert by_points({"a": 1.0}, "ab", "some", notes=["first"]).notes == ("first", "no ballot spoke of b")
    assert by_points({}, "ab", "some", notes=["first"]).notes == (
        "first",
        "every ballot abstained, so the order is the pool's",
    )


def test_infinite_points_are_points() -> None:
    made = by_points({"a": float("-inf"), "b": -1.0, "c": float("inf")}, "abc", "some")
    assert made.order == ("c", "b", "a")
    assert made.ties == ()


def test_places_earn_points_from_the_last() -> None:
    assert points_of_places("abc", [0.1, 0.3, 0.2]) == {"a": 0.0, "b": 2.0, "c": 1.0}


def test_tied_places_share_their_points() -> None:
    assert points_of_places("abcd", [1, 2, 2, 2]) == {"a": 0.0, "b": 2.0, "c": 2.0, "d": 2.0}
    assert points_of_places("abc", [7, 7, 7]) == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_an_empty_ballot_earns_nothing() -> None:
    assert points_of_places((), ()) == {}


def test_a_ballot_must_score_every_place() -> None:
    with pytest.raises(ValueError, match="zip"):
        points_of_places("ab", [1.0])


@given(scores=st.lists(st.integers(1, 5), max_size=8))
def test_a_ballot_gives_away_the_same_points_whatever_it_says(scores: list[int]) -> None:
    ids = [f"i{n}" for n in range(len(scores))]
    points = points_of_places(ids, [float(s) for s in scores])
    assert sum(points.values()) == len(scores) * (len(scores) - 1) / 2
    for i, x in zip(ids, scores, strict=True):
        for j, y in zip(ids, scores, strict=True):
            assert (points[i] > points[j]) == (x > y)
