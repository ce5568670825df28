"""The nouns: what is unknown stays unknown, and a secret stays one."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.types import (
    Card,
    Judgement,
    Limits,
    Message,
    Price,
    Ranking,
    Request,
    Sampling,
    Secret,
    TextScore,
    Usage,
    add_known,
)

# ---- usage and price --------------------------------------------------------------------------


def test_usage_adds_up() -> None:
    assert Usage(1, 10, 5, 0.5, 3, 2) + Usage(2, 20, 7, 0.25, 4, 1) == Usage(3, 30, 12, 0.75, 7, 3)


def test_nothing_is_the_neutral_usage() -> None:
    usage = Usage(1, 10, 5, 0.5, 3, 2)
    assert usage + Usage() == Usage() + usage == usage
    assert sum([], Usage()) == Usage(0, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("unknown", "total"),
    [
        (Usage(1, None, 1, 1.0), Usage(2, None, 2, 2.0)),
        (Usage(1, 1, None, 1.0), Usage(2, 2, None, 2.0)),
        (Usage(1, 1, 1, None), Usage(2, 2, 2, None)),
    ],
)
def test_an_unknown_part_makes_its_sum_unknown_and_no_other(unknown: Usage, total: Usage) -> None:
    known = Usage(1, 1, 1, 1.0)
    assert unknown + known == known + unknown == total


counts = st.none() | st.integers(0, 10**9)
usages = st.builds(Usage, st.integers(0, 99), counts, counts, st.none() | st.integers(0, 99).map(float))


@settings(max_examples=50)
@given(parts=st.lists(usages, max_size=6))
def test_a_sum_is_known_exactly_when_all_its_parts_are(parts: list[Usage]) -> None:
    total = sum(parts, Usage())
    for name in ("calls", "input_tokens", "output_tokens", "cost_usd"):
        values = [getattr(part, name) for part in parts]
        assert getattr(total, name) == (None if None in values else sum(values))
    assert total == sum(reversed(parts), Usage())


def test_token_counts_stay_whole_numbers() -> None:
    total = Usage(1, 1, 1, 0.0) + Usage(1, 2, 3, 0.0)
    assert (type(total.input_tokens), type(total.output_tokens)) == (int, int)


def test_zero_is_known() -> None:
    assert add_known(0, 0) == 0
    assert add_known(0, None) is None
    assert add_known(None, 0.0) is None


def test_a_price_is_per_million_tokens() -> None:
    assert Price(3.0, 15.0).cost_usd(1_000_000, 2_000_000) == 33.0
    assert Price(3.0, 15.0).cost_usd(1000, 100) == pytest.approx(0.0045)


def test_cached_tokens_are_a_part_of_the_input() -> None:
    assert Price(4.0, 0.0, 1.0).cost_usd(1_000_000, 0, 500_000) == 2.5
    assert Price(4.0, 0.0).cost_usd(1_000_000, 0, 500_000) == 4.0
    assert Price(4.0, 8.0, 0.0).cost_usd(1_000_000, 1_000_000, 1_000_000) == 8.0


@pytest.mark.parametrize("counts", [(None, 1), (1, None), (None, None)])
def test_an_unknown_count_makes_the_cost_unknown(counts: tuple[int | None, int | None]) -> None:
    assert Price(1.0, 1.0).cost_usd(*counts) is None


def test_what_is_free_costs_nothing_whatever_was_counted() -> None:
    assert Price(0.0, 0.0).cost_usd(None, None) == 0.0
    assert Price(0.0, 0.0, 0.0).cost_usd(5, None) == 0.0


# ---- secrets ----------------------------------------------------------------------------------

KEY = "sk-very-private"


@dataclasses.dataclass(frozen=True)
class Holder:
    key: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(KEY)),
        str(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY):>30}",
        f"{Secret(KEY)!r}",
        "%s" % Secret(KEY),  # noqa: UP031
        "%r" % Secret(KEY),  # noqa: UP031
        "{}".format(Secret(KEY)),  # noqa: UP032
        repr(Holder(Secret(KEY))),
        repr([Secret(KEY)]),
        repr({"key": Secret(KEY)}),
        repr(dataclasses.asdict(Holder(Secret(KEY)))),
        str(dataclasses.astuple(Holder(Secret(KEY)))),
        str(ValueError(Secret(KEY))),
    ],
)
def test_a_secret_is_never_printed(shown: str) -> None:
    assert "***" in shown
    assert "private" not in shown


def test_a_secret_can_be_revealed_on_purpose() -> None:
    assert Secret(KEY).reveal() == KEY
    assert type(Secret(KEY).reveal()) is str
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != KEY
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        "".join([Secret(KEY)])  # type: ignore[list-item]
    assert not Secret("")


def test_a_card_has_no_place_for_a_secret() -> None:
    names = {field.name for field in dataclasses.fields(Card)}
    assert names == {
        "name",
        "model",
        "price",
        "context_tokens",
        "capabilities",
        "ballot",
        "timeout_s",
        "max_concurrency",
    }


# ---- requests ---------------------------------------------------------------------------------

ASKED = Request.of("What?", Sampling(temperature=0.5, extra={"b": 1, "a": [1, {"x": None}]}))


def test_a_question_becomes_one_user_turn() -> None:
    assert ASKED.messages == (Message("user", "What?"),)
    assert Request.of([Message("system", "s"), Message("user", "u")]).messages[1].text == "u"


def test_the_question_is_the_last_user_turn() -> None:
    turns = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"), Message("tool", "four"))
    assert Request(turns).question == "three"
    assert Request(()).question == ""


def test_the_words_of_a_turn_leave_images_out() -> None:
    parts = ({"type": "text", "text": "What is "}, {"type": "image_url", "image_url": {}}, {"text": "this?"})
    assert Message("user", parts).text == "What is this?"


def test_equal_requests_have_one_fingerprint() -> None:
    again = Request((Message("user", "What?"),), Sampling(temperature=0.5, extra={"a": [1, {"x": None}], "b": 1}))
    assert again == ASKED
    assert again.fingerprint == ASKED.fingerprint
    assert len(ASKED.fingerprint) == 64


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(ASKED, prefix=" "),
        dataclasses.replace(ASKED, schema={}),
        dataclasses.replace(ASKED, sampling=Sampling(temperature=0.5)),
        dataclasses.replace(ASKED, sampling=dataclasses.replace(ASKED.sampling, seed=0)),
        dataclasses.replace(ASKED, sampling=dataclasses.replace(ASKED.sampling, stop=("x",))),
        dataclasses.replace(ASKED, messages=(Message("system", "What?"),)),
        dataclasses.replace(ASKED, messages=(Message("user", "What? "),)),
        dataclasses.replace(ASKED, messages=(Message("user", "What?", {"name": "x"}),)),
        dataclasses.replace(ASKED, messages=(Message("user", ({"text": "What?"},)),)),
        dataclasses.replace(ASKED, messages=(*ASKED.messages, *ASKED.messages)),
        dataclasses.replace(ASKED, messages=()),
    ],
)
def test_any_difference_changes_the_fingerprint(other: Request) -> None:
    assert other.fingerprint != ASKED.fingerprint


@settings(max_examples=50)
@given(x=st.text(), y=st.text())
def test_fingerprints_tell_any_two_texts_apart(x: str, y: str) -> None:
    assert (Request.of(x).fingerprint == Request.of(y).fingerprint) == (x == y)


# ---- judgements and rankings ------------------------------------------------------------------


def test_a_judgement_scores_each_id_once() -> None:
    with pytest.raises(ValueError, match=r"'x' gave 1 scores for 2 ids \('a', 'b'\)"):
        Judgement("x", ("a", "b"), (1.0,))


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_is_a_number(score: float) -> None:
    with pytest.raises(ValueError, match="abstain instead"):
        Judgement("x", ("a", "b"), (1.0, score))


def test_an_abstention_says_nothing_but_why() -> None:
    ballot = Judgement.abstain("x", "ill", ["k1"])
    assert ballot == Judgement("x", (), (), abstained="ill", calls=("k1",))


@pytest.mark.parametrize(
    ("ties", "ranks"),
    [
        ((), {"a": 1, "b": 2, "c": 3, "d": 4}),
        ((("b", "c"),), {"a": 1, "b": 2, "c": 2, "d": 4}),
        ((("a", "b"), ("c", "d")), {"a": 1, "b": 1, "c": 3, "d": 3}),
        ((("a", "b", "c"),), {"a": 1, "b": 1, "c": 1, "d": 4}),
        ((("a", "b", "c", "d"),), {"a": 1, "b": 1, "c": 1, "d": 1}),
    ],
)
def test_ranks_are_competition_ranks(ties: tuple[tuple[str, ...], ...], ranks: dict[str, int]) -> None:
    ranking = Ranking(("a", "b", "c", "d"), dict.fromkeys("abcd"), "some", ties)
    assert ranking.ranks == ranks
    assert ranking.best == "a"


def test_a_texts_mean_is_per_token() -> None:
    assert TextScore(-6.0, 4).mean == -1.5


# ---- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deadline_s", "quorum", "max_calls", "max_tokens", "max_usd"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_limits_are_greater_than_nothing(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be greater than 0, not "):
        Limits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_grace_is_not_negative(value: float) -> None:
    with pytest.raises(ValueError, match="grace_s must not be negative"):
        Limits(grace_s=value)


def test_no_grace_and_no_bounds_are_limits_too() -> None:
    limits = Limits(grace_s=0)
    assert (limits.quorum, limits.max_calls, limits.max_tokens, limits.max_usd) == (None, None, None, None)
    assert limits.deadline_s == 120.0


def test_values_print_as_what_made_them() -> None:
    usage = Usage(1, None, 3, 0.5)
    assert eval(repr(usage)) == usage
    assert json.loads(json.dumps(dataclasses.asdict(usage)))["input_tokens"] is None
