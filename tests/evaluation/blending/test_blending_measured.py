"""Means, differences and verdicts: worked out by hand, with holes, seeds and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from made_up import BERT, HEADER, Made, recorded

from coterie.evaluation.blending.header import DataSet, Header, Measure
from coterie.evaluation.blending.measured import Coverage, Measured
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.rows import Kind, Row, Variant
from coterie.evaluation.blending.variants import in_order, is_whole, names_of
from coterie.evaluation.blending.versus import Rivals
from coterie.evaluation.conversations import conversation_difference, conversation_mean
from coterie.evaluation.significance import Bootstrap, Estimate

pytest.importorskip("numpy", reason="intervals need numpy")

QUICK = Bootstrap(resamples=500)

Scores = Mapping[str, Sequence[float | None]]
"""Of each conversation its turns' scores."""


def rows_of(method: str, scores: Scores, kind: Kind = "blend", dataset: str = "d") -> list[Row]:
    return [
        Row(dataset, conversation, turn, method, kind, quality={"q": score}, time_s=score)
        for conversation, turns in scores.items()
        for turn, score in enumerate(turns, 1)
    ]


def measured_of(*rows: Row, header: Header = Header()) -> Measured:  # noqa: B008
    return Measured(Recorded(header, rows), QUICK)


def value_of(found: Estimate | None) -> float | None:
    return None if found is None else found.value


Q = Measure("q")


# ---- means ------------------------------------------------------------------------------------


def test_a_mean_by_conversation_is_none_by_question() -> None:
    """Two conversations: (1, 0, 0, 0) with mean 1/4, and (1,) with mean 1. 5/8 by conversation, 2/5 by question."""
    measured = measured_of(*rows_of("m", {"a": [1, 0, 0, 0], "b": [1]}))
    column = measured.quality(measured.variants[0], Q)
    assert value_of(measured.by_conversation(column, "d")) == pytest.approx(5 / 8)
    assert value_of(measured.by_question(column, "d")) == pytest.approx(2 / 5)


def test_missing_scores_are_no_zeros() -> None:
    measured = measured_of(*rows_of("m", {"a": [1, None], "b": [None, None], "c": [0.5]}))
    column = measured.quality(measured.variants[0], Q)
    found = measured.by_conversation(column, "d")
    assert found is not None
    assert found.value == pytest.approx(0.75)
    assert found.n == 2
    assert measured.by_conversation((None,) * 5, "d") is None


def test_a_single_conversation_has_no_interval() -> None:
    measured = measured_of(*rows_of("m", {"a": [1, 0, 1, 0]}))
    found = measured.by_conversation(measured.quality(measured.variants[0], Q), "d")
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_seeds_of_a_question_are_one_number() -> None:
    one, other, third = (
        Row("d", "a", 1, "m", "blend", seed=n, quality={"q": of}) for n, of in enumerate((1.0, 0.0, None))
    )
    failed = Row("d", "a", 1, "m", "blend", seed=3, failed="timeout", time_s=9.0)
    measured = measured_of(one, other, third, failed)
    [variant] = measured.variants
    assert measured.quality(variant, Q) == (0.5,)
    assert measured.times(variant) == (None,)
    assert measured.coverage(variant) == Coverage(1, 0, 1)


def test_means_and_differences_are_those_of_the_rooms_other_functions() -> None:
    measured = Measured(recorded(), Bootstrap(resamples=4000))
    one, other = measured.of_kind("blend")[:2]
    ours, theirs = (measured.quality(variant, BERT) for variant in (one, other))
    conversations = [place[1] for place in measured.places_of("CoQA")]
    found = measured.by_conversation(ours, "CoQA")
    plain = conversation_mean(measured.within(ours, "CoQA"), conversations)
    gain = measured.gain(ours, theirs, "CoQA")
    parts = measured.within(ours, "CoQA"), measured.within(theirs, "CoQA")
    gained = conversation_difference(*parts, conversations).estimate
    assert found is not None
    assert gain is not None
    for mine, its in ((found, plain), (gain.estimate, gained)):
        assert mine.value == pytest.approx(its.value)
        assert mine.low == pytest.approx(its.low, abs=0.002)
        assert mine.high == pytest.approx(its.high, abs=0.002)


# ---- differences ------------------------------------------------------------------------------


def test_a_difference_is_of_the_questions_that_both_answered() -> None:
    """Together on turn 1 of a (1 - 0) and turn 1 of b (0.5 - 1): a gain of 1 and a loss of 1/2."""
    rows = [*rows_of("ours", {"a": [1, 1], "b": [0.5]}), *rows_of("theirs", {"a": [0, None], "b": [1]})]
    measured = measured_of(*rows)
    ours, theirs = (measured.quality(variant, Q) for variant in measured.variants)
    gain = measured.gain(ours, theirs, "d")
    assert gain is not None
    assert (gain.estimate.value, gain.estimate.n, gain.wins, gain.ties, gain.losses) == (0.25, 2, 1, 0, 1)
    assert measured.gain(ours, (None,) * 3, "d") is None


def test_a_quotient_is_of_means() -> None:
    """(8 + 2) / (1 + 4), and not the mean of 8 and 1/2."""
    measured = measured_of(*rows_of("slow", {"a": [8, 2, None]}), *rows_of("quick", {"a": [1, 4, 100]}))
    slow, quick = (measured.times(variant) for variant in measured.variants)
    assert value_of(measured.quotient(slow, quick, "d")) == pytest.approx(2.0)
    assert measured.quotient(slow, (0.0, 0.0, 0.0), "d") is None


def test_all_data_sets_together_are_a_part_where_there_are_several() -> None:
    header = Header(data=(DataSet("b"), DataSet("never asked"), DataSet("a")))
    rows = [*rows_of("m", {"x": [0]}, dataset="a"), *rows_of("m", {"x": [1]}, dataset="b")]
    measured = measured_of(*rows, header=header)
    assert measured.datasets == ("b", "a")
    assert measured.parts == ("b", "a", None)
    assert measured.conversations(None) == 2
    assert measured_of(*rows[:1]).parts == ("a",)


def test_coverage_tells_failed_from_never_asked() -> None:
    rows = [*rows_of("all", {"a": [1, 1, 1]}), *rows_of("some", {"a": [1]})]
    rows.append(Row("d", "a", 2, "some", "blend", failed="timeout"))
    measured = measured_of(*rows)
    every, some = measured.variants
    assert (measured.coverage(every).whole, measured.coverage(every).missing) == (True, 0)
    assert (measured.coverage(some), measured.coverage(some).missing) == (Coverage(1, 1, 3), 1)


# ---- names ------------------------------------------------------------------------------------


def test_names_tell_only_what_differs() -> None:
    peer = Variant("peer", "blend", 4, 3, "peer_review", "borda", "full_ranking")
    variants = [
        Variant("ann", "single"),
        peer,
        replace(peer, n=2),
        replace(peer, policy="first_k"),
        replace(peer, top_k=1, kind="selection"),
        Variant("warm", "blend", temperature=0.5),
        Variant("warm", "blend"),
    ]
    names = names_of(variants)
    assert list(names.values()) == [
        "ann",
        "peer (K=3, full ranking)",
        "peer (N=2, K=3, full ranking)",
        "peer (K=3, first k)",
        "peer (K=1, full ranking)",
        "warm (T=0.5)",
        "warm (no temperature)",
    ]
    assert [is_whole(variant, variants) for variant in variants] == [True, True, False, True, True, True, True]


def test_no_two_names_are_equal() -> None:
    variants = [Variant("m", "blend", top_k=k, policy=p) for k in (1, 2) for p in ("first_k", "first k")]
    variants += [Variant("m (K=1, first k)", "blend"), Variant("m", "selection", top_k=1, policy="first_k")]
    assert len(set(names_of(variants).values())) == len(variants)


def test_members_come_first_and_blends_last() -> None:
    small, large = Variant("b", "blend", 2), Variant("b", "blend", 5)
    others = [Variant("s", "single"), Variant("r", "baseline"), Variant("o", "oracle"), Variant("c", "selection")]
    assert in_order([small, *reversed(others), large, small]) == (*others, large, small)


# ---- verdicts ---------------------------------------------------------------------------------


def contest(ours: float, *theirs: float, lower_is_better: bool = False) -> str:
    """The word for a method against members whose scores lie so far from one another in 40 conversations."""
    noise = [((7 * n) % 5 - 2) / 100 for n in range(40)]
    rows = rows_of("m", {str(n): [ours + of] for n, of in enumerate(noise)})
    for number, level in enumerate(theirs):
        shifted = noise[number + 1 :] + noise[: number + 1]
        rows += rows_of(f"s{number}", {str(n): [level + of] for n, of in enumerate(shifted)}, "single")
    measured = measured_of(*rows)
    verdict = Rivals(measured, Measure("q", lower_is_better=lower_is_better)).over_best_single(
        measured.of_kind("blend")[0], "d"
    )
    assert verdict is not None
    return f"{verdict.word}, {verdict.rival}"


def test_verdicts_against_the_best_single_member() -> None:
    assert contest(0.8, 0.5, 0.7) == "yes, s1"
    assert contest(0.5, 0.8, 0.7) == "no, s0"
    assert contest(0.7, 0.7, 0.3) == "cannot tell, s0"
    assert contest(0.3, 0.5, 0.7, lower_is_better=True) == "yes, s0"
    assert contest(0.6, 0.5, 0.7, lower_is_better=True) == "no, s0"


def test_a_difference_of_what_should_be_small_is_told_as_it_is() -> None:
    measured = measured_of(*rows_of("m", {"a": [1], "b": [2]}), *rows_of("s", {"a": [3], "b": [5]}, "single"))
    rivals = Rivals(measured, Measure("q", lower_is_better=True))
    verdict = rivals.over_best_single(measured.of_kind("blend")[0], "d")
    assert verdict is not None
    assert verdict.gain.value == pytest.approx(-2.5)
    assert verdict.word == "yes"
    assert verdict.gain.low is not None
    assert verdict.gain.high is not None
    assert verdict.gain.low <= verdict.gain.high < 0


def test_a_member_that_answered_too_little_is_no_rival() -> None:
    scores = {str(n): [0.5 + n % 3 / 10] for n in range(40)}
    rare = {str(n): [0.99] for n in range(3)}
    rows = [*rows_of("m", scores), *rows_of("s", scores, "single"), *rows_of("rare", rare, "single")]
    measured = measured_of(*rows)
    verdict = Rivals(measured, Q).over_best_single(measured.of_kind("blend")[0], "d")
    assert verdict is not None
    assert (verdict.rival, verdict.left_out) == ("s", ("rare",))


def test_without_members_or_scores_there_is_no_verdict() -> None:
    measured = measured_of(*rows_of("m", {"a": [1], "b": [1]}))
    assert Rivals(measured, Q).over_best_single(measured.variants[0], "d") is None
    measured = measured_of(*rows_of("m", {"a": [None]}), *rows_of("s", {"a": [1]}, "single"))
    assert Rivals(measured, Q).over_best_single(measured.of_kind("blend")[0], "d") is None


def test_the_reference_is_the_variant_with_the_headers_fields() -> None:
    measured = Measured(recorded(Made(conversations=2)), QUICK)
    assert measured.reference is not None
    assert (measured.reference.method, measured.reference.top_k) == ("llm_blender", 3)
    absent = recorded(Made(conversations=2), replace(HEADER, reference={"method": "never run"}))
    assert Measured(absent, QUICK).reference is None
