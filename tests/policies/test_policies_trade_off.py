"""Delta Q, Delta T and Q(K, r), by hand."""

from __future__ import annotations

import pytest

from coterie.errors import ConfigError
from coterie.policies import delta_quality, delta_time_s, mean_quality


def test_quality_lost_and_time_saved_are_positive() -> None:
    assert delta_quality([0.9, 0.8, 0.7], [0.8, 0.8, 0.4]) == pytest.approx(0.4 / 3)
    assert delta_time_s([4.0, 6.0], [1.0, 2.0]) == pytest.approx(3.5)


def test_quality_won_and_time_lost_are_negative() -> None:
    assert delta_quality([0.5], [0.75]) == -0.25
    assert delta_time_s([1.0, 1.0], [2.0, 1.0]) == -0.5


def test_an_item_counts_only_where_it_was_measured_both_ways() -> None:
    assert delta_quality([0.9, None, 0.7, 0.1], [0.8, 0.2, None, 0.1]) == pytest.approx(0.05)
    assert delta_time_s([None, 2.0], [1.0, None]) is None
    assert delta_quality([], []) is None


def test_items_must_be_the_same() -> None:
    with pytest.raises(ConfigError, match="2 items with ranking and 1 without are not the same"):
        delta_time_s([1.0, 2.0], [1.0])


def test_quality_of_one_k_and_one_r() -> None:
    assert mean_quality([0.25, None, 0.75]) == 0.5
    assert mean_quality([None]) is None
