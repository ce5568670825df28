"""Means over conversations, and whether a way of answering beats the best single member: by hand and against chance."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.evaluation.best_single import AgainstBest, against_best
from coterie.evaluation.conversations import (
    by_conversation,
    conversation_difference,
    conversation_mean,
    together,
)
from coterie.evaluation.significance import Bootstrap, Estimate, difference, estimate

np = pytest.importorskip("numpy", reason="intervals need numpy")

QUICK = Bootstrap(resamples=400)
SCORE = st.one_of(st.none(), st.just(math.nan), st.floats(-100, 100))
TURNS = st.lists(st.tuples(SCORE, SCORE, st.sampled_from("abcde")), max_size=30)


# ---- means over conversations -----------------------------------------------------------------


def test_a_long_conversation_weighs_as_much_as_a_short_one() -> None:
    scores, conversations = [1.0, 0.0, 0.0, 0.0, 1.0], ["a", "b", "b", "b", "b"]
    assert by_conversation(scores, conversations) == {"a": 1.0, "b": 0.25}
    found = conversation_mean(scores, conversations)
    assert (found.value, found.n, found.missing) == (0.625, 2, 0)


def test_a_turn_without_a_score_is_left_out_and_a_conversation_of_such_is_missing() -> None:
    scores, conversations = [1.0, None, 0.0, None, math.nan, None], ["a", "a", "b", "b", "b", "c"]
    assert by_conversation(scores, conversations) == {"a": 1.0, "b": 0.0, "c": None}
    found = conversation_mean(scores, conversations)
    assert (found.value, found.n, found.missing) == (0.5, 2, 1)
    assert conversation_mean([], []) == Estimate(None, None, None, 0)


@given(turns=TURNS)
@settings(max_examples=80, deadline=None)
def test_it_is_the_bootstrap_of_the_conversations_means(turns: list[tuple[float | None, float | None, str]]) -> None:
    scores, conversations = [turn[0] for turn in turns], [turn[2] for turn in turns]
    known: dict[str, list[float]] = {conversation: [] for conversation in conversations}
    for score, conversation in zip(scores, conversations, strict=True):
        known[conversation] += [score] if score is not None and not math.isnan(score) else []
    means = [math.fsum(of) / len(of) for of in known.values() if of]
    found = conversation_mean(scores, conversations, QUICK)
    wanted = estimate(means, bootstrap=QUICK)
    assert (found.n, found.missing) == (len(means), len(known) - len(means))
    for one, other in ((found.value, wanted.value), (found.low, wanted.low), (found.high, wanted.high)):
        assert one == (None if other is None else pytest.approx(other, abs=1e-9))


def test_turns_of_one_conversation_are_no_evidence_of_their_own() -> None:
    rng = random.Random(1)
    of = [rng.random() for _ in range(60)]
    alone = conversation_mean(of, range(60))
    repeated = conversation_mean(of * 10, [*range(60)] * 10)
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((alone.value, alone.low, alone.high))


@given(turns=TURNS)
@settings(max_examples=80, deadline=None)
def test_a_difference_is_of_the_turns_that_both_answered(
    turns: list[tuple[float | None, float | None, str]],
) -> None:
    ours, theirs, conversations = [t[0] for t in turns], [t[1] for t in turns], [t[2] for t in turns]
    both = [(a, b, c) for a, b, c in turns if _known(a) and _known(b)]
    found = conversation_difference(ours, theirs, conversations, QUICK)
    of = [c for _, _, c in both]
    a, b = by_conversation([a for a, _, _ in both], of), by_conversation([b for _, b, _ in both], of)
    wanted = difference([*a.values()], [*b.values()], bootstrap=QUICK)
    assert (found.wins, found.ties, found.losses) == (wanted.wins, wanted.ties, wanted.losses)
    assert found.estimate.n == wanted.estimate.n
    assert found.estimate.value == (None if wanted.estimate.value is None else pytest.approx(wanted.estimate.value))


def test_a_difference_is_told_where_two_intervals_overlap() -> None:
    rng = random.Random(3)
    conversations = [n // 5 for n in range(500)]
    hard = [rng.gauss(0, 1) for _ in range(100)]
    theirs = [hard[c] + rng.gauss(0, 0.3) for c in conversations]
    ours = [value + 0.1 + rng.gauss(0, 0.1) for value in theirs]
    found = conversation_difference(ours, theirs, conversations)
    assert found.clear is True
    assert found.estimate.value == pytest.approx(0.1, abs=0.03)
    one, other = conversation_mean(ours, conversations), conversation_mean(theirs, conversations)
    assert one.low is not None
    assert other.high is not None
    assert one.low < other.high


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="turn by turn: 1 and 2 differ"):
        conversation_mean([1.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"differ in number: \[1, 2\]"):
        conversation_difference([1.0], [1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"differ in number: \[1, 2\]"):
        against_best([1.0], {"m": [1.0, 2.0]}, ["a"])
    assert together([[1.0, 2.0, math.nan], [None, 3.0, 4.0]]) == [[None, 2.0, None], [None, 3.0, None]]


# ---- the best single member -------------------------------------------------------------------


def compared(
    ours: float, members: Sequence[float], seed: int, *, conversations: int = 80, spread: float = 1.0
) -> AgainstBest:
    """Drawn scores of true means `ours` and `members`, on conversations that are hard or easy for all."""
    rng = random.Random(seed)
    hard = [rng.gauss(0, 1) for _ in range(conversations)]

    def drawn(mean: float) -> list[float | None]:
        return [mean + of + rng.gauss(0, spread) for of in hard]

    return against_best(
        drawn(ours), {f"m{n}": drawn(mean) for n, mean in enumerate(members)}, range(conversations), QUICK
    )


def shares(ours: float, members: Sequence[float], times: int = 200) -> Mapping[str, float]:
    said = [compared(ours, members, seed).verdict for seed in range(times)]
    return {word: said.count(word) / times for word in ("yes", "no", "cannot tell")}


def test_of_one_member_it_is_the_plain_paired_difference() -> None:
    rng = random.Random(5)
    ours, theirs = ([rng.gauss(mean, 1) for _ in range(200)] for mean in (0.3, 0.0))
    conversations = [n // 4 for n in range(200)]
    found = against_best(ours, {"m": theirs}, conversations)
    plain = conversation_difference(ours, theirs, conversations)
    assert found.each == {"m": plain}
    assert (found.gain.value, found.gain.low) == (plain.estimate.value, plain.estimate.low)
    assert found.gain.high == pytest.approx(plain.estimate.high, abs=1e-9)
    assert (found.gain.n, found.best) == (50, "m")


def test_the_gain_is_over_the_member_with_the_highest_mean() -> None:
    ours = [0.5, 0.7, 0.9, 0.6]
    members = {"weak": [0.1, 0.2, 0.2, 0.3], "strong": [0.4, 0.6, 0.9, 0.5], "middle": [0.3, 0.4, 0.5, 0.4]}
    found = against_best(ours, members, "aabb")
    assert found.best == "strong"
    assert found.gain.value == pytest.approx(0.675 - 0.6)
    assert found.gain.n == 2
    assert list(found.each) == ["weak", "strong", "middle"]


@pytest.mark.parametrize("members", [1, 2, 8])
def test_equal_members_are_seldom_told_from_us(members: int) -> None:
    """With eight equal members the best one's own figure is far too high, and 'no' would be said of most."""
    found = shares(0.0, [0.0] * members)
    assert found["yes"] <= 0.06
    assert found["no"] <= 0.07


def test_without_the_correction_the_luckiest_member_would_win() -> None:
    lost = 0
    for seed in range(200):
        of = compared(0.0, [0.0] * 8, seed)
        picked = of.each[of.best].estimate
        lost += picked.high is not None and picked.high < 0
    assert lost / 200 > 0.08  # what the test before this one holds down


def test_who_is_better_than_all_is_told_so() -> None:
    found = shares(0.8, [0.0, -0.3, 0.1, 0.0])
    assert found["yes"] > 0.8
    assert found["no"] == 0


def test_a_clearly_better_member_is_found_among_many() -> None:
    found = shares(0.0, [0.8, *[0.0] * 7])
    assert found["no"] > 0.8
    assert found["yes"] == 0


@pytest.mark.parametrize("members", [[0.0, 0.0], [0.0] * 8, [0.3, 0.0, 0.2, -1.0]])
def test_the_interval_holds_the_true_gain_about_as_often_as_it_says(members: list[float]) -> None:
    held = 0
    for seed in range(200):
        gain = compared(0.1, members, seed).gain
        assert gain.low is not None
        assert gain.high is not None
        assert gain.value is not None
        assert gain.low <= gain.value <= gain.high
        held += gain.low <= 0.1 - max(members) <= gain.high
    assert held / 200 >= 0.91


def test_a_member_that_says_little_is_left_out_and_takes_no_turns() -> None:
    rng = random.Random(2)
    ours = [rng.random() for _ in range(100)]
    often: list[float | None] = [rng.random() if n % 25 else None for n in range(100)]
    seldom: list[float | None] = [1.0 if n < 90 else None for n in range(100)]
    never: list[float | None] = [None] * 100
    found = against_best(ours, {"often": often, "seldom": seldom, "never": never}, range(100), QUICK)
    assert found.left_out == ("seldom", "never")
    assert list(found.each) == ["often"]
    assert (found.gain.n, found.gain.missing) == (96, 4)
    nothing = against_best(ours, {"never": never}, range(100), QUICK)
    assert (nothing.best, nothing.verdict, nothing.gain.value) == ("", "cannot tell", None)
    assert against_best([], {}, []).verdict == "cannot tell"
    assert against_best([None], {"m": [1.0]}, ["a"]).verdict == "cannot tell"


def test_one_conversation_says_nothing() -> None:
    found = against_best([1.0, 0.9], {"m": [0.0, 0.1]}, ["a", "a"])
    assert found.gain.value == pytest.approx(0.9)
    assert (found.gain.low, found.gain.high, found.verdict) == (None, None, "cannot tell")


def test_members_that_do_not_vary_from_us() -> None:
    rng = random.Random(4)
    ours = [float(rng.randrange(10)) for _ in range(30)]
    same = against_best(ours, {"twin": ours, "worse": [value - 1 for value in ours]}, range(30), QUICK)
    assert (same.gain, same.verdict) == (Estimate(0.0, 0.0, 0.0, 30), "cannot tell")
    better = against_best(ours, {"better": [value + 1 for value in ours], "twin": ours}, range(30), QUICK)
    gain = better.gain
    assert (gain.low, gain.value, gain.high) == pytest.approx((-1.0, -1.0, -1.0))
    assert better.verdict == "no"
    noisy = against_best(ours, {"twin": ours, "noisy": [v - rng.random() for v in ours]}, range(30), QUICK)
    assert noisy.verdict == "cannot tell"


def _known(score: float | None) -> bool:
    return score is not None and not math.isnan(score)
