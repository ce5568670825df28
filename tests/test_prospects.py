"""The nouns of routing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.prospects import Feedback, Prospect, Scale

qualities = st.floats(-5000, 5000)


@given(a=qualities, b=qualities, scale=st.sampled_from(Scale))
def test_preferences_of_two_add_up_to_one(a: float, b: float, scale: Scale) -> None:
    first, second = scale.preference(a, b), scale.preference(b, a)
    assert 0.0 <= first <= 1.0
    assert first + second == pytest.approx(1.0)
    assert (first >= 0.5) == (a >= b) or math.isclose(first, 0.5)


def test_four_hundred_points_are_ten_to_one() -> None:
    assert Scale.ELO.preference(1400, 1000) == pytest.approx(10 / 11)
    assert Scale.LOGIT.preference(math.log(3), 0) == pytest.approx(0.75)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["quality", "cost_usd", "output_tokens", "uncertainty"])
def test_a_prospect_holds_numbers_or_nothing(field: str, odd: float) -> None:
    with pytest.raises(ValueError, match="must be a number or unknown"):
        replace(Prospect("ann", None), **{field: odd})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["cost_usd", "output_tokens", "uncertainty"])
def test_costs_are_not_negative(field: str) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        replace(Prospect("ann", None), **{field: -1.0})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"rating": 1.5},
        {"rating": math.nan},
        {"preferred": "a"},
        {"over": "a"},
        {"preferred": "a", "over": "a"},
        {"tie": True},
    ],
)
def test_feedback_that_says_nothing_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rating|preference|preferred"):
        Feedback(**said)  # type: ignore[arg-type]
