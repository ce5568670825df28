"""Ranks from labels, reckoned by hand; what a pick earns against a model; how near an order is to the labels'."""

from __future__ import annotations

import math
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.evaluation.correlation import (
    by_model,
    expected_footrule,
    expected_set_based,
    footrule,
    mid_ranks,
    pearson,
    set_based,
    spearman,
)
from coterie.evaluation.labels import (
    AT_LEAST_AS_GOOD,
    HALVES,
    Reference,
    compared_pairs,
    comparison_table,
    comparisons_of,
    competition_ranks,
    decided_pairs,
    earned,
    is_total,
    label_ranks,
    labelled_best,
    max_logits_scores,
    rank_of_text,
    ranks_of,
)
from coterie.evaluation.strength import strengths
from coterie.examples import Comparison, Example, Text, Verdict
from coterie.examples.example import PREFERENCE
from coterie.examples.reading import example_of
from coterie.types import Judgement

# a beats b and d, is as good as c; c beats b and d; b and d are equally bad
SAID = [
    Comparison(0, 1, "a"),
    Comparison(2, 0, "same_good"),
    Comparison(3, 0, "b"),
    Comparison(1, 2, "b"),
    Comparison(1, 3, "same_bad"),
    Comparison(2, 3, "a"),
]


def example(*comparisons: Comparison, texts: str = "abcd", id_: str = "e1") -> Example:
    return Example(id_, input="?", candidates=tuple(Text(t, t.upper()) for t in texts), comparisons=tuple(comparisons))


FULL = example(*SAID)


# ---- ranks ------------------------------------------------------------------------------------


def test_the_table_has_what_each_comparison_adds() -> None:
    assert comparison_table(SAID, 4) == [
        [0.0, 1.0, 0.5, 1.0],
        [-1.0, 0.0, -1.0, -0.5],
        [0.5, 1.0, 0.0, 1.0],
        [-1.0, -0.5, -1.0, 0.0],
    ]


def test_scores_are_twice_wins_less_losses_and_ties_share_the_lower_rank() -> None:
    assert max_logits_scores(comparison_table(SAID, 4)) == [4.0, -4.0, 4.0, -4.0]
    assert label_ranks(FULL) == (1, 3, 1, 3)


@pytest.mark.parametrize(
    ("scores", "ranks"),
    [
        ([], ()),
        ([0.5], (1,)),
        ([3.0, 1.0, 2.0], (1, 3, 2)),
        ([1.0, 2.0, 2.0, 0.0], (3, 1, 1, 4)),
        ([0.0, 0.0], (1, 1)),
        ([0.1 + 0.2, 0.3], (1, 2)),  # only exactly equal scores share a rank
    ],
)
def test_competition_ranks(scores: list[float], ranks: tuple[int, ...]) -> None:
    assert competition_ranks(scores) == ranks


def test_a_circle_of_wins_is_a_tie_of_all() -> None:
    assert ranks_of([Comparison(0, 1, "a"), Comparison(1, 2, "a"), Comparison(2, 0, "a")], 3) == (1, 1, 1)


def test_several_labels_of_one_pair_add_up() -> None:
    twice = [Comparison(0, 1, "a", "x"), Comparison(1, 0, "b", "y"), Comparison(0, 2, "b"), Comparison(1, 2, "b")]
    assert max_logits_scores(comparison_table(twice, 3)) == [2.0, -6.0, 4.0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(get_args(Verdict))), max_size=20))
def test_who_is_called_a_and_who_b_makes_no_difference(said: list[tuple[int, int, Verdict]]) -> None:
    turned: dict[Verdict, Verdict] = {"a": "b", "b": "a", "same_good": "same_good", "same_bad": "same_bad"}
    there = [Comparison(a, b, verdict) for a, b, verdict in said if a != b]
    back = [Comparison(c.b, c.a, turned[c.verdict]) for c in there]
    assert ranks_of(there, 5) == ranks_of(back, 5)


def test_with_a_pair_left_open_there_are_no_ranks() -> None:
    open_ = example(*SAID[:-1])
    assert not is_total(open_)
    assert label_ranks(open_) is None
    assert len(compared_pairs(open_)) == 5


@pytest.mark.parametrize("texts", ["", "a"])
def test_fewer_than_two_candidates_have_no_ranks(texts: str) -> None:
    assert label_ranks(example(texts=texts)) is None


def test_mix_instructs_own_form_gives_the_same_ranks() -> None:
    record = {
        "id": "unified_chip2/1",
        "instruction": "",
        "input": "?",
        "candidates": [{"model": m, "text": m} for m in "ABCD"],
        "cmp_results": '{"A,B": "A is better", "C,A": "Same good", "D,A": "B is better", "B,C": "B is better", '
        '"B,D": "Same bad", "C,D": "A is better"}',
    }
    assert label_ranks(example_of(record)) == (1, 3, 1, 3)


# ---- what else labels say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.0, 1.0, 0.0], {1}),
        ([1.0, 1.0, 0.0], {0, 1}),
        ([0.0, 0.0, 0.0], None),
        ([None, 1.0, 0.0], None),
        ([0.3, 1.0, 0.0], None),
        ([1.0], None),
        ([], None),
    ],
)
def test_the_labelled_best(scores: list[float | None], best: set[int] | None) -> None:
    texts = tuple(Text("x", scores={} if s is None else {PREFERENCE: s}) for s in scores)
    assert labelled_best(Example("1", candidates=texts)) == best


def test_ties_decide_no_pair() -> None:
    assert list(decided_pairs(FULL)) == [(0, 1), (0, 3), (2, 1), (2, 3)]


@pytest.mark.parametrize(
    ("verdict", "at_least", "halves"),
    [("a", 0.0, 0.0), ("b", 1.0, 1.0), ("same_good", 1.0, 0.5), ("same_bad", 0.0, 0.0)],
)
def test_what_a_pick_earns_against_a_model(verdict: Verdict, at_least: float, halves: float) -> None:
    forth = example(Comparison(0, 1, verdict), texts="abc")
    turned: Verdict = {"a": "b", "b": "a"}.get(verdict, verdict)  # type: ignore[assignment]
    back = example(Comparison(1, 0, turned), texts="abc")
    for said in (forth, back):
        assert earned(said, Reference("A"), AT_LEAST_AS_GOOD) == (1.0, at_least, None)
        assert earned(said, Reference("A"), HALVES) == (0.5, halves, None)


def test_what_was_not_compared_with_the_model_earns_nothing_that_could_be_told() -> None:
    assert earned(FULL, Reference("Z"), HALVES) is None
    assert earned(example(Comparison(1, 2, "a")), Reference("A"), HALVES) is None
    assert earned(example(Comparison(0, 1, "b", "x")), Reference("A", by="y"), HALVES) is None
    twins = Example("1", candidates=(Text("x", "A"), Text("y", "A")), comparisons=(Comparison(0, 1, "a"),))
    assert earned(twins, Reference("A"), HALVES) is None


def test_labels_of_one_pair_that_differ_count_by_their_mean() -> None:
    said = example(Comparison(0, 1, "a", "x"), Comparison(0, 1, "b", "y"), texts="ab")
    assert earned(said, Reference("A"), HALVES) == (0.5, 0.5)
    assert earned(said, Reference("A", by="y"), HALVES) == (0.5, 1.0)


# ---- a text that is no candidate --------------------------------------------------------------


def test_a_candidates_text_has_the_rank_of_its_labels() -> None:
    assert [rank_of_text(FULL, text) for text in "abcd"] == [1, 3, 1, 3]


def test_a_new_text_is_refused_a_rank_until_it_is_compared_with_everybody() -> None:
    with pytest.raises(ConfigError, match=r"comparisons with \[0, 1, 2, 3\] are missing"):
        rank_of_text(FULL, "fused")
    with pytest.raises(ConfigError, match=r"comparisons with \[2\] are missing"):
        rank_of_text(FULL, "fused", [Comparison(4, n, "a") for n in (0, 1, 3)])


def test_a_new_text_is_ranked_among_all_and_itself() -> None:
    # scores: a, c 4; b, d -4; each win or loss of the fused text moves both sides by 2
    beats_all = [Comparison(4, n, "a") for n in range(4)]
    loses_to_all = [Comparison(n, 4, "a") for n in range(4)]
    ties_with_all = [Comparison(4, n, "same_good") for n in range(4)]
    assert rank_of_text(FULL, "fused", beats_all) == 1
    assert rank_of_text(FULL, "fused", loses_to_all) == 5
    assert rank_of_text(FULL, "fused", ties_with_all) == 3


def test_comparisons_among_candidates_that_come_along_do_not_change_the_stored_labels() -> None:
    fresh = [*(Comparison(4, n, "same_good") for n in range(4)), Comparison(1, 0, "a"), Comparison(3, 0, "a")]
    assert rank_of_text(FULL, "fused", fresh) == 3


def test_open_labels_give_no_rank_to_anybody() -> None:
    with pytest.raises(ConfigError, match="'e1' has no rank"):
        rank_of_text(example(*SAID[:-1]), "a")


def test_judgements_become_comparisons() -> None:
    judgements = [
        Judgement("j", ("c2", "c1"), (1.0, -1.0)),
        Judgement("j", ("c1", "c3"), (-1.0, 1.0)),
        Judgement("j", ("c1", "c2"), (0.5, 0.5)),
        Judgement("j", ("c3", "c2"), (-0.5, -0.5)),
        Judgement("j", ("c1",), (3.0,)),
        Judgement("j", ("c1", "elsewhere"), (1.0, 0.0)),
        Judgement.abstain("j", "no"),
    ]
    assert comparisons_of(judgements, ["c1", "c2", "c3"]) == [
        Comparison(1, 0, "a", "j"),
        Comparison(0, 2, "b", "j"),
        Comparison(0, 1, "same_good", "j"),
        Comparison(2, 1, "same_bad", "j"),
    ]


# ---- strengths --------------------------------------------------------------------------------


def test_strengths_order_the_models_also_across_labels_that_never_met() -> None:
    strong = example(*[Comparison(0, 1, "a")] * 9, Comparison(0, 1, "b"), texts="ab")
    weak = example(*[Comparison(0, 1, "a")] * 9, Comparison(0, 1, "b"), texts="bc")
    found = strengths([strong, weak])
    assert sorted(found, key=lambda model: -found[model]) == ["A", "B", "C"]
    assert math.fsum(found.values()) == pytest.approx(0)
    assert found["A"] - found["B"] == pytest.approx(found["B"] - found["C"], abs=1e-6)


def test_strengths_are_finite_where_a_model_always_wins_and_none_where_there_is_no_label() -> None:
    assert all(map(math.isfinite, strengths([example(Comparison(0, 1, "a"), texts="ab")]).values()))
    assert strengths([example()]) == {}
    twins = Example("1", candidates=(Text("x", "A"), Text("y", "A")), comparisons=(Comparison(0, 1, "a"),))
    assert strengths([twins]) == {}


def test_two_models_strengths_match_the_closed_form() -> None:
    # Each has w + 1/2 of n + 1 games; by symmetry g_b = 1 / g_a
    found = strengths([example(*[Comparison(0, 1, "a")] * 3, Comparison(0, 1, "b"), texts="ab")])
    g = math.exp(found["A"])
    assert g / (g + 1) + 4 * g / (g + 1 / g) == pytest.approx(3.5, abs=1e-6)


# ---- orders -----------------------------------------------------------------------------------


def test_pearson_by_hand() -> None:
    # deviations (-1, 0, 1) and (-4, -1, 5) / 3: 3 / sqrt(2 * 42 / 9)
    assert pearson([1, 2, 3], [2, 3, 5]) == pytest.approx(3 / math.sqrt(2 * 42 / 9))
    assert pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


@pytest.mark.parametrize(("xs", "ys"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2], [3, 3])])
def test_without_variation_there_is_no_correlation(xs: list[float], ys: list[float]) -> None:
    assert pearson(xs, ys) is None
    assert spearman(xs, ys) is None


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers cannot be paired with 2"):
        pearson([1, 2, 3], [1, 2])


def test_spearman_shares_ranks_among_equals() -> None:
    assert mid_ranks([10, 30, 20, 30, 5]) == [2, 4.5, 3, 4.5, 1]
    assert spearman([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486832980505138)  # 4.5 / sqrt(4.5 * 5)


def test_correlations_are_averaged_over_models_and_not_over_examples() -> None:
    columns = {"A": [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)], "B": [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]}
    assert by_model(columns, pearson) == pytest.approx(0)
    assert by_model({"A": columns["A"]}, spearman) == pytest.approx(1)


def test_a_model_that_is_always_ranked_alike_leaves_no_mean() -> None:
    columns = {"A": [(1.0, 1.0), (2.0, 2.0)], "B": [(1.0, 1.0), (1.0, 2.0)]}
    assert by_model(columns, pearson) is None
    assert by_model({}, pearson) is None


def test_footrule_and_sets_by_hand() -> None:
    assert footrule((1, 2, 3), (3, 2, 1)) == 4
    assert footrule((1, 2, 3), (1, 2, 3)) == 0
    # k = 1: {0} and {2}, 0; k = 2: {0, 1} and {1, 2}, 1/3; k = 3: 1
    assert set_based((1, 2, 3), (3, 2, 1)) == pytest.approx((0 + 1 / 3 + 1) / 3)
    # ties: rank 1 or better is {0, 1}
    assert set_based((1, 1, 3), (1, 2, 3)) == pytest.approx((1 / 2 + 1 + 1) / 3)


@pytest.mark.parametrize("truth", [(1, 2, 3, 4), (1, 1, 3, 3), (2, 1, 2, 2), (1, 1, 1, 1), (1,)])
def test_what_is_expected_of_chance_is_the_mean_over_all_orders(truth: tuple[int, ...]) -> None:
    every = list(permutations(range(1, len(truth) + 1)))
    assert expected_footrule(truth) == pytest.approx(math.fsum(footrule(p, truth) for p in every) / len(every))
    assert expected_set_based(truth) == pytest.approx(math.fsum(set_based(p, truth) for p in every) / len(every))


def test_the_papers_random_footrule_is_near_that_of_twelve_without_ties() -> None:
    assert expected_footrule(tuple(range(1, 13))) == pytest.approx((12**2 - 1) / 3)  # 47.7; the paper, with ties, 48.3
