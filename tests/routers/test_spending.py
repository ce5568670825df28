"""What members are expected to spend: FORC's cost model, recorded means where it cannot say, and nothing for free."""

from __future__ import annotations

import numpy as np
import pytest

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Outcomes
from coterie.routers import spending
from coterie.routers.spending import Spending, guess_tokens
from coterie.run import ledger
from coterie.types import Price, Request

PRICE = Price(2.0, 8.0)
FREE = Price(0.0, 0.0)


def test_means_are_of_what_is_known() -> None:
    unknown = float("nan")
    costs = np.array([[1.0, unknown, unknown], [3.0, 0.5, unknown]])
    tokens = np.array([[10.0, unknown, unknown], [unknown, unknown, unknown]])
    found = Spending.of(Outcomes(("a", "b", "c"), ("x", "y"), np.zeros((2, 3)), costs, tokens))
    assert found.cost_usd == {"a": 2.0, "b": 0.5}
    assert found.output_tokens == {"a": 10.0}
    assert Spending.from_json(found.to_json()) == found


def test_a_call_costs_its_prompt_and_the_mean_answer() -> None:
    found = Spending({"a": 12.5}, {"a": 9.0, "b": 7.0})
    text = "x" * 89
    assert found.expected_usd(text, "a", PRICE) == pytest.approx((30 * 2.0 + 12.5 * 8.0) / 1e6)
    assert found.expected_usd(text, "b", PRICE) == 7.0
    assert found.expected_usd(text, "a", None) == 9.0
    assert found.expected_usd(text, "c", PRICE) is None
    assert found.expected_usd(text, "c", None) is None
    assert found.expected_usd(text, "c", FREE) == 0.0
    told = {("a", PRICE): True, ("b", PRICE): False, ("a", None): False, ("c", FREE): True}
    assert {of: found.tells(*of) for of in told} == told


def test_a_table_has_a_row_for_each_text() -> None:
    found = Spending({"a": 1.0}, {"b": 7.0})
    table = found.table(("", "x" * 30), ("c", "b", "a"), {"a": PRICE})
    np.testing.assert_allclose(table, [[np.nan, 7.0, 10e-6], [np.nan, 7.0, 30e-6]])
    assert found.table((), ("a",), {}).shape == (0, 1)


def test_tokens_are_guessed_as_a_run_guesses_them() -> None:
    assert spending.BYTES_A_TOKEN == ledger.BYTES_A_TOKEN
    for text in ("", "word", "é" * 7, "\ud800"):
        assert guess_tokens(text) == ledger.guess_tokens(Request.of(text))


@pytest.mark.parametrize("kept", [None, [], {"output_tokens": {}}, {"output_tokens": {"a": "1"}, "cost_usd": {}}])
def test_what_was_not_kept_is_refused(kept: object) -> None:
    with pytest.raises(ConfigError, match="are amounts by member"):
        Spending.from_json(kept)
