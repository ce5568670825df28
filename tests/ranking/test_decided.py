"""Early decisions: never wrong, whatever the rest of the ballots say, and early enough to be worth it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.ranking import RULES, decided, rule
from coterie.types import Judgement, Outstanding

POOL = ("a", "b", "c", "d")
BOUNDED = ("borda", "copeland", "mean", "normalised_borda")
LOWEST, HIGHEST = 1.0, 5.0

bounded = pytest.mark.parametrize("name", BOUNDED)
some = settings(max_examples=50, deadline=None)


def ordered(*best_first: str, weight: float = 1.0, judge: str = "x") -> Judgement:
    scores = tuple(HIGHEST - 4 * n / max(1, len(best_first) - 1) for n in range(len(best_first)))
    return Judgement(judge, best_first, scores, weight=weight)


def out(*about: str, weight: float = 1.0) -> Outstanding:
    return Outstanding(about, weight, LOWEST, HIGHEST)


# ---- every completion -------------------------------------------------------------------------


def extremes(awaited: Outstanding) -> Iterator[Judgement]:
    """Every ballot that can come of it with the scale's ends alone: who is at the top, at the bottom, or left out."""
    for given_ in product((None, LOWEST, HIGHEST), repeat=len(awaited.about)):
        scored = [(id_, score) for id_, score in zip(awaited.about, given_, strict=True) if score is not None]
        yield Judgement("out", tuple(i for i, _ in scored), tuple(s for _, s in scored), weight=awaited.weight)


def one_first_one_last(awaited: Outstanding) -> Iterator[Judgement]:
    """A strict order for every two of its ids, the one before and the other behind everybody."""
    for first in awaited.about:
        for last in awaited.about:
            between = [id_ for id_ in awaited.about if id_ not in (first, last)]
            order = list(dict.fromkeys([first, *between, last]))
            yield replace(ordered(*order), judge="out", weight=awaited.weight)


def completions(awaited: Sequence[Outstanding], rng: random.Random) -> Iterator[list[Judgement]]:
    """All pairs of extremes, every outstanding ballot alike, and many at random."""
    for first, last in product(POOL, repeat=2):
        yield [
            replace(ordered(*sorted(o.about, key=lambda i: (i != first, i == last))), judge="out", weight=o.weight)
            for o in awaited
        ]
        yield [
            Judgement(
                "out", o.about, tuple(LOWEST if i == last else HIGHEST if i == first else 3.0 for i in o.about),
                weight=o.weight,
            )
            for o in awaited
        ]  # fmt: skip
    for _ in range(30):
        yield [rng.choice([*extremes(o), *one_first_one_last(o)]) for o in awaited]
    for _ in range(20):
        yield [_drawn(o, rng) for o in awaited]


def _drawn(awaited: Outstanding, rng: random.Random) -> Judgement:
    about = tuple(rng.sample(awaited.about, rng.randint(0, len(awaited.about))))
    scores = tuple(rng.choice([1.0, 2.0, 3.0, 4.0, 5.0, rng.uniform(1, 5)]) for _ in about)
    return Judgement("out", about, scores, weight=awaited.weight)


@st.composite
def states(
    draw: st.DrawFn, weights: Sequence[float] = (1.0, 1.0, 0.2, 0.3, 0.55, 2.0, 0.0)
) -> tuple[list[Judgement], list[Outstanding]]:
    """Ballots cast, mostly of one mind so that something is decided, and ballots awaited."""
    cast = []
    favourite = draw(st.permutations(POOL))
    for n in range(draw(st.integers(0, 7))):
        about = draw(st.lists(st.sampled_from(POOL), unique=True, max_size=4)) if draw(st.booleans()) else list(POOL)
        alike = draw(st.booleans()) or draw(st.booleans())
        scores = [5.0 - favourite.index(i) if alike else float(draw(st.integers(1, 5))) for i in about]
        cast.append(Judgement(f"j{n}", tuple(about), tuple(scores), weight=draw(st.sampled_from(weights))))
    awaited = [
        out(*draw(st.lists(st.sampled_from(POOL), unique=True, max_size=4)), weight=draw(st.sampled_from(weights)))
        for _ in range(draw(st.integers(0, 3)))
    ]
    return cast, awaited


@bounded
@some
@given(state=states(), k=st.integers(1, 3), pool=st.permutations(POOL), seed=st.integers(0, 2**32))
def test_what_is_decided_stays_so(
    name: str, state: tuple[list[Judgement], list[Outstanding]], k: int, pool: list[str], seed: int
) -> None:
    cast, awaited = state
    if not decided(name, cast, awaited, pool, k):
        return
    first = set(rule(name)(cast, pool).order[:k])
    for completion in completions(awaited, random.Random(seed)):
        assert set(rule(name)([*cast, *completion], pool).order[:k]) == first


def drawn_state(rng: random.Random) -> tuple[list[Judgement], list[Outstanding]]:
    """A few ballots cast and fewer awaited, close to the border between what is decided and what is not."""
    cast = []
    for n in range(rng.randint(1, 5)):
        about = rng.choice([POOL, POOL, POOL[:3], POOL[1:], POOL[::2]])
        scores = tuple(float(rng.choice([1, 3, 5]) if rng.random() < 0.4 else 5 - POOL.index(i)) for i in about)
        cast.append(Judgement(f"j{n}", about, scores, weight=rng.choice([1.0, 1.0, 1.0, 0.5, 0.25])))
    awaited = [
        out(*rng.choice([POOL, POOL[:2], POOL[:3], POOL[1:]]), weight=rng.choice([1.0, 1.0, 0.5, 0.25]))
        for _ in range(rng.randint(1, 2))
    ]
    return cast, awaited


@bounded
def test_what_is_decided_withstands_whoever_is_put_first_and_last(name: str) -> None:
    met = 0
    for seed in range(1500):
        rng = random.Random(seed)
        cast, awaited = drawn_state(rng)
        pool = rng.sample(POOL, len(POOL))
        if not decided(name, cast, awaited, pool):
            continue
        met += 1
        winner = rule(name)(cast, pool).best
        for rival in pool:
            worst = [
                replace(ordered(*sorted(o.about, key=lambda i: (i != rival, i == winner))), weight=o.weight)
                for o in awaited
            ]
            assert rule(name)([*cast, *worst], pool).best == winner, (seed, rival)
    assert met > 100


@pytest.mark.parametrize("name", ["borda", "copeland", "normalised_borda"])
@some
@given(state=states(weights=(1.0,)), pool=st.permutations(POOL))
def test_what_is_not_decided_can_change(
    name: str, state: tuple[list[Judgement], list[Outstanding]], pool: list[str]
) -> None:
    """With equal weights the bound is exact: one id first and one last on every ballot can say otherwise."""
    cast, awaited = state
    if decided(name, cast, awaited, pool):
        return
    now = rule(name)(cast, pool).best
    after = [
        rule(name)([*cast, *(ordered(*sorted(o.about, key=lambda i: (i != first, i == last))) for o in awaited)], pool)
        for first, last in product(POOL, repeat=2)
    ]
    assert any(ranking.best != now for ranking in after)


# ---- by hand ----------------------------------------------------------------------------------


@bounded
def test_nine_of_ten_unanimous_ballots_decide(name: str) -> None:
    cast = [ordered("b", "a", "c", "d")] * 9
    assert decided(name, cast, [out(*POOL)], POOL)
    assert rule(name)(cast, POOL).best == "b"


@bounded
def test_a_single_ballot_of_ten_decides_nothing(name: str) -> None:
    assert not decided(name, [ordered("b", "a", "c", "d")], [out(*POOL)] * 9, POOL)


def test_borda_is_decided_once_the_lead_is_more_than_what_is_left() -> None:
    # Two ballots: b leads by 2 over a. One more ballot on four ids moves the lead by 3, one on three by 2, on two by 1.
    cast = [ordered("b", "a", "c", "d")] * 2
    assert not decided("borda", cast, [out(*POOL)], POOL)
    assert not decided("borda", cast, [out("a", "b", "c")], POOL)  # a tie, which the pool gives to a
    assert decided("borda", cast, [out("a", "b", "c")], ("b", "a", "c", "d"))  # ... or to b
    assert decided("borda", cast, [out("a", "b")], POOL)


def test_a_reviewer_who_is_awaited_about_others_only_can_change_their_places_alone() -> None:
    cast = [ordered("b", "a", "c", "d")]
    assert decided("borda", cast, [out("c", "d")], POOL)
    assert decided("borda", cast, [out("c", "d")], POOL, top_k=3)  # d can only draw level, and stands behind c
    assert not decided("borda", cast, [out("c", "d")], POOL[::-1], top_k=3)
    assert decided("mean", cast, [out("d")], POOL)
    assert decided("mean", cast, [out("d")], POOL, top_k=2)
    assert not decided("mean", cast, [out("d")], POOL, top_k=3)


def test_the_first_two_may_be_decided_before_the_first_is() -> None:
    cast = [ordered("a", "b", "c", "d"), ordered("b", "a", "c", "d")] * 3
    assert not decided("normalised_borda", cast, [out(*POOL)], POOL, 1)
    assert decided("normalised_borda", cast, [out(*POOL)], POOL, 2)


def test_a_light_ballot_cannot_do_what_a_heavy_one_can() -> None:
    cast = [ordered("b", "a", "c", "d"), ordered("b", "a", "c", "d")]
    assert not decided("borda", cast, [out(*POOL, weight=1.0)], POOL)
    assert decided("borda", cast, [out(*POOL, weight=0.5)], POOL)
    assert decided("borda", cast, [out(*POOL, weight=0.0)], POOL)


def test_a_mean_needs_the_ends_of_the_scale() -> None:
    cast = [Judgement("x", ("a", "b"), (5.0, 1.0))] * 9
    assert decided("mean", cast, [out("a", "b")], "ab")
    assert not decided("mean", cast, [Outstanding(("a", "b"))], "ab")
    assert not decided("mean", cast, [Outstanding(("a", "b"), lowest=1.0)], "ab")
    assert not decided("mean", cast, [Outstanding(("b",), lowest=1.0)], "ab")
    assert decided("mean", cast, [Outstanding(("b",), highest=5.0)], "ab")
    assert decided("borda", cast, [Outstanding(("a", "b"))], "ab")


def test_copeland_is_decided_by_locked_duels() -> None:
    cast = [ordered("b", "a", "c", "d")] * 3
    assert decided("copeland", cast, [out(*POOL)] * 2, POOL)
    assert not decided("copeland", cast, [out(*POOL)] * 3, POOL)
    # Three more against b draw all its duels, while a wins two: no place in the pool helps b then.
    assert not decided("copeland", cast, [out(*POOL)] * 3, ("b", "a", "c", "d"))
    assert decided("copeland", [ordered("b", "a")] * 3, [out("a", "b")] * 3, "ba")
    assert not decided("copeland", [ordered("b", "a")] * 3, [out("a", "b")] * 3, "ab")


def test_who_was_not_heard_yet_is_not_safe() -> None:
    cast = [ordered("b", "a")] * 5
    for name in BOUNDED:
        assert not decided(name, cast, [out("c", "a", "b")] * 5, "abc"), name
    assert decided("normalised_borda", cast, [], "abc")


@pytest.mark.parametrize("name", sorted(set(RULES) - set(BOUNDED)))
def test_other_rules_wait_for_every_ballot_that_counts(name: str) -> None:
    cast = [ordered("b", "a", "c", "d")] * 9
    assert not decided(name, cast, [out(*POOL)], POOL)
    assert not decided(name, cast, [out("a")], POOL)
    assert decided(name, cast, [], POOL)
    assert decided(name, cast, [out(*POOL, weight=0.0), out("z"), out()], POOL)


@bounded
def test_without_a_rival_everything_is_decided(name: str) -> None:
    assert decided(name, [], [out("a", "b")], "a")
    assert decided(name, [], [out("a", "b")], "ab", top_k=2)
    assert decided(name, [], [out("a", "b")], ())


@bounded
def test_without_a_ballot_nothing_is_decided_but_when_none_will_come(name: str) -> None:
    assert not decided(name, [], [out("a", "b")], "ab")
    assert decided(name, [], [out("a")], "ab")
    assert decided(name, [], [out("a")], "ba") is (name != "mean")
    assert decided(name, [], [], "ab")


def test_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="top_k must be at least 1, not 0"):
        decided("borda", [], [], "ab", 0)


# ---- how early, and how quick -----------------------------------------------------------------


def peers(n: int, noise: float, seed: int) -> tuple[list[str], list[Judgement], list[Outstanding]]:
    """n members that rate each other's answers from 1 to 5, never their own."""
    rng = random.Random(seed)
    names = [f"m{i:02}" for i in range(n)]
    quality = {name: rng.uniform(1, 5) for name in names}
    others = {r: tuple(name for name in names if name != r) for r in names}
    cast = [
        Judgement(r, others[r], tuple(min(5.0, max(1.0, quality[i] + rng.gauss(0, noise))) for i in others[r]))
        for r in names
    ]
    return names, cast, [out(*others[r]) for r in names]


def unneeded(name: str, names: Sequence[str], cast: Sequence[Judgement], awaited: Sequence[Outstanding]) -> int:
    """How many of the last ballots need not be waited for."""
    n = len(cast)
    return next(left for left in range(n - 1, -1, -1) if decided(name, cast[: n - left], awaited[n - left :], names))


def test_peers_of_one_mind_decide_by_majority_early_and_by_points_at_the_last_ballot() -> None:
    names, _, awaited = peers(10, 0.0, 0)
    alike = [ordered(*(name for name in names if name != reviewer), judge=reviewer) for reviewer in names]
    saved = {name: unneeded(name, names, alike, awaited) for name in BOUNDED}
    assert saved == {"borda": 0, "copeland": 3, "mean": 0, "normalised_borda": 0}


@bounded
def test_a_favourite_among_equals_need_not_wait_for_everybody(name: str) -> None:
    rng, saved = random.Random(0), 0
    for _ in range(20):
        names, _, awaited = peers(10, 0.0, 0)
        others = [
            rng.sample([name for name in names[1:] if name != reviewer], 9 - (reviewer != "m00")) for reviewer in names
        ]
        first = [["m00"] if reviewer != "m00" else [] for reviewer in names]
        cast = [ordered(*f, *rest, judge=r) for f, rest, r in zip(first, others, names, strict=True)]
        saved += unneeded(name, names, cast, awaited)
    assert saved >= 40  # two ballots of ten on average, or more


@bounded
def test_thirty_members_are_checked_in_milliseconds(name: str) -> None:
    names, cast, awaited = peers(30, 1.0, 0)
    began = time.process_time()
    for left in range(30):
        decided(name, cast[: 30 - left], awaited[30 - left :], names, 3)
    assert (time.process_time() - began) / 30 < 0.1
