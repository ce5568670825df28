"""Plans and records: what they refuse, and what they are as plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coterie.errors import ConfigError
from coterie.turns import Conversation, History, Plan, Tally, read, to_plain


def test_a_record_as_plain_data() -> None:
    told = Conversation(("a", "ü"), 1, None, 2, 3, ("ü",), Tally({"a": 0.5, "ü": 2.0}, {"a": 1}), ("ü", "a"))
    plain = {
        "pool": ["a", "ü"],
        "top_k": 1,
        "turns": None,
        "number": 2,
        "turn": 3,
        "survivors": ["ü"],
        "tally": {"sums": {"a": 0.5, "ü": 2.0}, "heard": {"a": 1}},
        "last": ["ü", "a"],
    }
    assert to_plain(told) == plain == json.loads(json.dumps(plain))
    assert read(Conversation, plain) == told
    assert to_plain(History()) == {"begun": 0, "evaluation": 0, "tally": {"sums": {}, "heard": {}}}


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("abc", "record: "),
        ({"pool": ["a"]}, "top_k: Field required"),
        ({"pool": ["a"], "top_k": "many"}, "top_k: "),
        ({"pool": [], "top_k": 1}, "a pool has at least one member"),
        ({"pool": ["a"], "top_k": 1, "survivors": ["b"]}, "'b' is not in the pool"),
        ({"pool": ["a"], "top_k": 1, "last": ["b"]}, "'b' is not in the pool"),
        ({"pool": ["a"], "top_k": 1, "tally": {"sums": {"a": float("nan")}}}, "tally: .*must be finite"),
        ({"pool": ["a"], "top_k": 1, "tally": {"heard": {"a": 1}}}, "'a' was heard and has no sum"),
    ],
)
def test_what_is_no_record_is_refused(data: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read(Conversation, data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pool": ()},
        {"pool": ("a", "a")},
        {"pool": ("a",), "top_k": 0},
        {"pool": ("a",), "turns": 0},
        {"pool": ("a",), "turn": 0},
    ],
)
def test_a_conversation_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Conversation(**{"top_k": 1, **wrong})


def test_survivors_stand_in_pool_order() -> None:
    assert Conversation(("b", "a", "c"), 1, survivors=("c", "b")).survivors == ("b", "c")


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="top_k must lie between 1 and the 1 who write, not at 2"):
        Plan(("a",), ranks=False, top_k=2)
    with pytest.raises(ValueError, match="top_k must lie between 1 and the 0 who write, not at 0"):
        Plan.unranked(())
    with pytest.raises(ValueError, match="a ranking takes two members"):
        Plan(("a",), ranks=True, top_k=1)
