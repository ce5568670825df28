"""Every ranking rule: golden values, and what must hold of any of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.ranking import RULES, borda, copeland, mean, normalised_borda, rule
from coterie.types import Judgement, Ranking

POOL = ("a", "b", "c", "d", "e")
SILENCE = "every ballot abstained, so the order is the pool's"

WEIGHTS = (1.0, 1.0, 1.0, 0.3, 0.7, 2.0, 0.0)

MAJORITIES = ("majority_vote", "majority_vote_max", "majority_vote_min")
"""Rules under which a better score can do harm."""

few = settings(max_examples=30)
"""Enough for five ids; the rules are many."""

every_rule = pytest.mark.parametrize("name", sorted(RULES))


def ballot(judge: str, **scores: float) -> Judgement:
    return Judgement(judge, tuple(scores), tuple(scores.values()))


def ordered(judge: str, *best_first: str) -> Judgement:
    """A ballot that ranks, by scores that fall."""
    return Judgement(judge, best_first, tuple(float(-place) for place in range(len(best_first))))


@st.composite
def ballots(draw: st.DrawFn, ids: Sequence[str] = POOL, least: int = 0) -> list[Judgement]:
    """Ballots of any length, complete or not, with ties and abstentions, of any weight."""
    made = []
    for number in range(draw(st.integers(least, 6))):
        about = tuple(draw(st.lists(st.sampled_from(ids), unique=True, max_size=len(ids))))
        scores = tuple(float(draw(st.integers(1, 5))) for _ in about)
        weight = draw(st.sampled_from(WEIGHTS))
        made.append(Judgement(f"judge{number}", about, scores, abstained="" if about else "silent", weight=weight))
    return made


# ---- golden values ----------------------------------------------------------------------------


THESIS = [
    ordered("1", "M1", "M2", "M3", "M4"),
    ordered("2", "M1", "M2", "M4", "M3"),
    ordered("3", "M2", "M3", "M1", "M4"),
]


def test_borda_gives_the_totals_of_the_thesis() -> None:
    made = borda(THESIS, ("M1", "M2", "M3", "M4"))
    assert made.scores == {"M1": 7.0, "M2": 7.0, "M3": 3.0, "M4": 1.0}
    assert made.order == ("M1", "M2", "M3", "M4")
    assert made.ties == (("M1", "M2"),)
    assert made.ranks == {"M1": 1, "M2": 1, "M3": 3, "M4": 4}
    assert made.rule == "borda"
    assert made.notes == ()


def test_normalised_borda_of_the_thesis_example_is_its_totals_over_nine() -> None:
    made = normalised_borda(THESIS, ("M1", "M2", "M3", "M4"))
    assert made.scores == pytest.approx({"M1": 7 / 9, "M2": 7 / 9, "M3": 3 / 9, "M4": 1 / 9})
    assert made.ties == (("M1", "M2"),)


def test_the_pool_breaks_the_tie_of_the_thesis_example_the_other_way_round() -> None:
    made = borda(THESIS, ("M4", "M3", "M2", "M1"))
    assert made.order == ("M2", "M1", "M3", "M4")
    assert made.ties == (("M2", "M1"),)


def test_tied_scores_on_a_borda_ballot_share_the_mean_of_their_places() -> None:
    assert borda([ballot("x", a=5, b=3, c=3, d=1)], "abcd").scores == {"a": 3.0, "b": 1.5, "c": 1.5, "d": 0.0}


def test_borda_sums_what_short_ballots_give_and_so_favours_who_was_judged_more_often() -> None:
    made = borda([ordered("x", "a", "b"), ordered("y", "b", "a"), ordered("z", "b", "c")], "abc")
    assert made.scores == {"a": 1.0, "b": 2.0, "c": 0.0}


def test_normalised_borda_averages_over_the_ballots_that_a_candidate_received() -> None:
    # Three peers, none on its own ballot, and c's own ballot missing: a was seen by b, b by a, c by both.
    made = normalised_borda([ordered("a", "b", "c"), ordered("b", "a", "c")], "abc")
    assert made.scores == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert made.ties == (("a", "b"),)


def test_normalised_borda_weighs_a_short_ballot_as_much_as_a_long_one() -> None:
    made = normalised_borda([ordered("x", "a", "b", "c"), ordered("y", "c", "a")], "abc")
    assert made.scores == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert made.ties == (("a", "b", "c"),)


def test_normalised_borda_places_the_unheard_in_the_middle() -> None:
    made = normalised_borda([ordered("x", "b", "c")], "abc")
    assert made.order == ("b", "a", "c")
    assert made.scores == {"a": None, "b": 1.0, "c": 0.0}
    assert made.notes == ("no ballot spoke of a",)


def test_copeland_follows_the_majority_where_borda_follows_the_places() -> None:
    votes = [ordered(str(n), "a", "b", "c") for n in range(3)] + [ordered(str(n), "b", "c", "a") for n in (3, 4)]
    assert borda(votes, "abc").scores == {"a": 6.0, "b": 7.0, "c": 2.0}
    assert copeland(votes, "abc").scores == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert copeland(votes, "abc").best == "a"


def test_copeland_ties_a_cycle() -> None:
    made = copeland([ordered("1", "a", "b", "c"), ordered("2", "b", "c", "a"), ordered("3", "c", "a", "b")], "abc")
    assert made.scores == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert made.ties == (("a", "b", "c"),)
    assert made.notes == ()


def test_copeland_counts_only_the_duels_that_took_place() -> None:
    made = copeland([ordered("x", "b", "a"), ordered("y", "c", "d")], "abcde")
    assert made.scores == {"a": 0.0, "b": 1.0, "c": 1.0, "d": 0.0, "e": None}
    assert made.order == ("b", "c", "e", "a", "d")
    assert made.ties == (("b", "c"), ("a", "d"))


def test_mean_averages_the_scores_as_they_are_and_puts_the_unheard_last() -> None:
    made = mean([ballot("x", a=4, b=2), ballot("y", b=5)], "cab")
    assert made.scores == {"c": None, "a": 4.0, "b": 3.5}
    assert made.order == ("a", "b", "c")
    assert made.notes == ("no ballot spoke of c",)


def test_mean_does_not_mistake_rounding_for_a_difference() -> None:
    votes = [ballot("x", a=0.1, b=0.3), ballot("y", a=0.2, b=0.2), ballot("z", a=0.3, b=0.1)]
    assert mean(votes, "ab").ties == (("a", "b"),)


# ---- by name ----------------------------------------------------------------------------------


def test_a_rule_is_found_by_its_name() -> None:
    assert [rule(name) for name in RULES] == list(RULES.values())


def test_an_unknown_rule_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        rule("bordo")
    assert str(caught.value) == f"there is no ranking rule 'bordo'; choose one of {', '.join(sorted(RULES))}"


# ---- what holds of every rule -----------------------------------------------------------------


@every_rule
@few
@given(data=st.data())
def test_the_order_is_a_permutation_of_the_pool_and_names_its_rule(name: str, data: st.DataObject) -> None:
    made = RULES[name](data.draw(ballots()), POOL)
    assert sorted(made.order) == sorted(POOL)
    assert set(made.scores) == set(POOL)
    assert made.rule == name


@every_rule
@few
@given(data=st.data(), seed=st.integers())
def test_the_order_of_the_judgements_does_not_matter(name: str, data: st.DataObject, seed: int) -> None:
    votes = data.draw(ballots())
    shuffled = random.Random(seed).sample(votes, len(votes))
    assert RULES[name](shuffled, POOL) == RULES[name](votes, POOL)


@few
@given(
    scores=st.lists(st.floats(-1e18, 1e18), min_size=2, max_size=5),
    seed=st.integers(),
)
def test_mean_does_not_depend_on_the_order_of_judgements_of_any_size(scores: list[float], seed: int) -> None:
    votes = [Judgement(str(n), ("a",), (score,)) for n, score in enumerate(scores)]
    shuffled = random.Random(seed).sample(votes, len(votes))
    assert mean(shuffled, "ab") == mean(votes, "ab")


@every_rule
@few
@given(data=st.data())
def test_the_order_of_ids_on_a_ballot_does_not_matter(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    turned = [replace(v, about=v.about[::-1], scores=v.scores[::-1]) for v in votes]
    assert RULES[name](turned, POOL) == RULES[name](votes, POOL)


@every_rule
@few
@given(data=st.data())
def test_ids_are_only_names(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    renamed = dict(zip(POOL, data.draw(st.permutations(["v", "w", "x", "y", "z"])), strict=True))
    there = RULES[name]([replace(v, about=tuple(renamed[i] for i in v.about)) for v in votes], list(renamed.values()))
    here = RULES[name](votes, POOL)
    assert there.order == tuple(renamed[i] for i in here.order)
    assert there.ties == tuple(tuple(renamed[i] for i in group) for group in here.ties)
    assert there.scores == {renamed[i]: score for i, score in here.scores.items()}


@every_rule
@few
@given(data=st.data())
def test_ties_keep_the_order_of_the_pool_and_are_named(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    pool = data.draw(st.permutations(POOL))
    made = RULES[name](votes, pool)
    for group in made.ties:
        assert len(group) > 1
        assert list(group) == [i for i in pool if i in group]
        assert "".join(group) in "".join(made.order)
        known = {round(score, 9) for i in group if (score := made.scores[i]) is not None}
        assert len(known) < 2
    tied = [{*group} for group in made.ties]
    for higher, lower in zip(made.order, made.order[1:], strict=False):
        x, y = made.scores[higher], made.scores[lower]
        if x is not None and y is not None:
            assert x == pytest.approx(y) if any({higher, lower} <= group for group in tied) else x > y


@every_rule
@few
@given(data=st.data())
def test_the_pool_decides_nothing_but_ties(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    pool = data.draw(st.permutations(POOL))
    here, there = RULES[name](votes, POOL), RULES[name](votes, pool)
    assert there.scores == here.scores
    assert there.ranks == here.ranks


@every_rule
@pytest.mark.parametrize("votes", [[], [Judgement.abstain("x", "ill"), Judgement.abstain("y", "away")]])
def test_without_a_judgement_the_order_is_the_pools_and_says_so(name: str, votes: list[Judgement]) -> None:
    assert RULES[name](votes, "cab") == Ranking(
        ("c", "a", "b"), {"c": None, "a": None, "b": None}, name, (("c", "a", "b"),), (SILENCE,)
    )


@every_rule
@few
@given(data=st.data())
def test_whoever_no_judgement_speaks_of_has_no_score_and_is_named(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots(("a", "b", "c"), least=1))
    made = RULES[name]([*votes, ordered("last", "a", "b", "c")], POOL)
    assert {i for i, score in made.scores.items() if score is None} == {"d", "e"}
    assert made.notes == ("no ballot spoke of d, e",)


@every_rule
@few
@given(data=st.data())
def test_an_abstention_changes_nothing(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    place = data.draw(st.integers(0, len(votes)))
    assert RULES[name]([*votes[:place], Judgement.abstain("x", "ill"), *votes[place:]], POOL) == RULES[name](
        votes, POOL
    )


@pytest.mark.parametrize("name", sorted(set(RULES) - set(MAJORITIES)))
@few
@given(data=st.data())
def test_raising_a_candidate_on_a_ballot_never_lowers_it(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots(least=1))
    spoken = [n for n, vote in enumerate(votes) if vote.about]
    if not spoken:
        return
    number = data.draw(st.sampled_from(spoken))
    vote = votes[number]
    raised = data.draw(st.sampled_from(vote.about))
    lift = data.draw(st.integers(1, 5))
    scores = tuple(s + lift * (i == raised) for i, s in zip(vote.about, vote.scores, strict=True))
    before = RULES[name](votes, POOL)
    after = RULES[name]([*votes[:number], replace(vote, scores=scores), *votes[number + 1 :]], POOL)
    assert after.ranks[raised] <= before.ranks[raised]
    if name in ("borda", "copeland", "mean", "normalised_borda"):  # they let nobody else rise along with it
        assert after.order.index(raised) <= before.order.index(raised)


@every_rule
@few
@given(data=st.data())
def test_ids_outside_the_pool_are_not_there(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    among = ("a", "b", "c")
    inside = [
        replace(v, about=about, scores=tuple(s for i, s in zip(v.about, v.scores, strict=True) if i in among))
        for v in votes
        for about in [tuple(i for i in v.about if i in among)]
    ]
    assert RULES[name](votes, among) == RULES[name](inside, among)


@every_rule
def test_equal_scores_everywhere_are_one_tie(name: str) -> None:
    votes = [ballot("x", b=3, a=3, c=3), ballot("y", c=2, b=2, a=2)]
    made = RULES[name](votes, "cab")
    assert made.order == ("c", "a", "b")
    assert made.ties == (("c", "a", "b"),)
    assert made.ranks == {"c": 1, "a": 1, "b": 1}
    assert len(set(made.scores.values())) == 1
    assert made.notes == ()


@every_rule
def test_one_candidate_is_first_without_a_tie(name: str) -> None:
    alone = RULES[name]([], "a")
    assert (alone.order, alone.ties, alone.scores) == (("a",), (), {"a": None})
    assert RULES[name]([ballot("x", a=4)], "a").order == ("a",)


@every_rule
def test_no_candidate_is_an_empty_order(name: str) -> None:
    assert RULES[name]([ballot("x", a=4)], ()).order == ()


@every_rule
def test_the_favourite_of_every_ballot_is_first(name: str) -> None:
    votes = [ordered("x", "c", "a", "b"), ordered("y", "c", "b", "a"), ordered("z", "c", "a")]
    assert RULES[name](votes, "abc").best == "c"
    assert RULES[name](votes, "abc").ranks["c"] == 1


# ---- weights ----------------------------------------------------------------------------------


@every_rule
@few
@given(data=st.data(), weight=st.floats(1e-6, 1e6))
def test_equal_weights_are_none(name: str, data: st.DataObject, weight: float) -> None:
    votes = [replace(vote, weight=1.0) for vote in data.draw(ballots())]
    assert RULES[name]([replace(vote, weight=weight) for vote in votes], POOL) == RULES[name](votes, POOL)


@every_rule
@few
@given(data=st.data())
def test_a_weight_of_nothing_is_no_ballot(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    assert RULES[name](votes, POOL) == RULES[name]([vote for vote in votes if vote.weight], POOL)


@every_rule
@few
@given(data=st.data(), factor=st.sampled_from([0.25, 0.5, 2.0, 1024.0]))
def test_only_the_proportions_of_weights_matter(name: str, data: st.DataObject, factor: float) -> None:
    votes = data.draw(ballots())
    assert RULES[name]([replace(v, weight=v.weight * factor) for v in votes], POOL) == RULES[name](votes, POOL)


@pytest.mark.parametrize("name", ["average_vote", "borda", "copeland", "mean", "normalised_borda", *MAJORITIES])
@few
@given(data=st.data())
def test_a_weight_of_three_is_three_reviewers(name: str, data: st.DataObject) -> None:
    votes = [replace(vote, weight=1.0) for vote in data.draw(ballots())]
    heavy = [replace(vote, weight=float(n % 3 + 1)) for n, vote in enumerate(votes)]
    many = [vote for n, vote in enumerate(votes) for _ in range(n % 3 + 1)]
    weighted, repeated = RULES[name](heavy, POOL), RULES[name](many, POOL)
    assert (weighted.order, weighted.ties) == (repeated.order, repeated.ties)
    if name != "borda":  # whose points are in units of a mean ballot
        assert weighted.scores == pytest.approx(repeated.scores)


@every_rule
def test_the_heavier_of_two_opposed_reviewers_wins(name: str) -> None:
    votes = [replace(ordered("x", "a", "b"), weight=0.4), replace(ordered("y", "b", "a"), weight=0.6)]
    made = RULES[name](votes, "ab")
    if name == "average_vote":  # rounds -0.4 and -0.6 away: halves upwards
        assert made.order == ("b", "a")
        return
    assert (made.order, made.ties) == (("b", "a"), ())


def test_weighted_borda_by_hand() -> None:
    votes = [replace(ordered("x", "a", "b", "c"), weight=0.5), replace(ordered("y", "c", "b", "a"), weight=1.5)]
    assert borda(votes, "abc").scores == pytest.approx({"a": 1.0, "b": 2.0, "c": 3.0})  # the mean weight is 1
    assert normalised_borda(votes, "abc").scores == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.75})


def test_a_weighted_mean_is_of_those_who_spoke() -> None:
    votes = [replace(ballot("x", a=4, b=2), weight=0.2), replace(ballot("y", b=5), weight=0.8)]
    assert mean(votes, "ab").scores == pytest.approx({"a": 4.0, "b": (0.2 * 2 + 0.8 * 5)})


def test_copeland_counts_weights_and_not_heads() -> None:
    votes = [replace(ordered(str(n), "a", "b"), weight=0.2) for n in range(3)] + [ordered("y", "b", "a")]
    assert copeland(votes, "ab").scores == {"a": 0.0, "b": 1.0}


def test_copeland_knows_a_draw_of_weights_that_add_up_only_nearly() -> None:
    votes = [replace(ordered(str(n), *order), weight=w) for n, (order, w) in enumerate([("ab", 0.1), ("ab", 0.2)])]
    assert 0.1 + 0.2 != 0.3
    assert copeland([*votes, replace(ordered("y", "b", "a"), weight=0.3)], "ab").ties == (("a", "b"),)


# ---- what holds of those that rank ------------------------------------------------------------


@pytest.mark.parametrize("name", ["borda", "copeland", "normalised_borda"])
@few
@given(data=st.data())
def test_a_ballot_on_a_single_candidate_ranks_nothing(name: str, data: st.DataObject) -> None:
    votes = data.draw(ballots())
    single = Judgement("lonely", (data.draw(st.sampled_from(POOL)),), (data.draw(st.floats(1, 5)),))
    assert RULES[name]([*votes, single], POOL) == RULES[name](votes, POOL)


@pytest.mark.parametrize("name", ["borda", "copeland", "normalised_borda"])
@few
@given(data=st.data(), factor=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_a_judges_scale_does_not_matter(name: str, data: st.DataObject, factor: float, shift: float) -> None:
    votes = data.draw(ballots(least=1))
    scaled = [replace(v, scores=tuple(s * factor + shift for s in v.scores)) for v in votes]
    assert RULES[name](scaled, POOL) == RULES[name](votes, POOL)


@pytest.mark.parametrize("name", ["copeland", "normalised_borda"])
@few
@given(data=st.data())
def test_shares_are_between_nothing_and_one(name: str, data: st.DataObject) -> None:
    scores = RULES[name](data.draw(ballots()), POOL).scores.values()
    assert all(0 <= score <= 1 for score in scores if score is not None)


@pytest.mark.parametrize("name", ["copeland", "normalised_borda"])
@few
@given(present=st.sets(st.sampled_from(POOL)))
def test_a_reviewer_who_does_not_vote_favours_nobody(name: str, present: set[str]) -> None:
    # Peers who find everyone equally good: whoever of them is missing, nobody gains by it.
    votes = [Judgement(r, tuple(i for i in POOL if i != r), (3.0,) * 4) for r in sorted(present)]
    made = RULES[name](votes, POOL)
    assert made.order == POOL
    assert made.ties == (POOL,)
    assert {score for score in made.scores.values() if score is not None} <= {0.5}


@few
@given(data=st.data())
def test_normalised_borda_of_a_whole_ballot_averages_to_one_half(data: st.DataObject) -> None:
    scores = tuple(float(data.draw(st.integers(1, 5))) for _ in POOL)
    given_ = normalised_borda([Judgement("x", POOL, scores)], POOL).scores.values()
    assert sum(score for score in given_ if score is not None) == pytest.approx(2.5)
