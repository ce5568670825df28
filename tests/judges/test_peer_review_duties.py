"""Who reviews what: as many reviewers for every answer, none its author, all with equally much to do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.judges.peer_review.duties import Seat, seated, stand_ins, way
from coterie.judges.peer_review.table import Table
from coterie.types import Candidate

POOL = tuple(f"m{n}" for n in range(10))
SEEDS = st.integers(0, 2**32)
EACH = st.none() | st.integers(1, 6)


@dataclass
class Written:
    """An arrival of which everything is known: an answer, or none."""

    author: str
    arrived: Candidate | None

    async def candidate(self) -> Candidate | None:
        return self.arrived


def table(
    authors: Sequence[str], reviewers: Sequence[str], each: int | None, seed: int, failed: Sequence[str] = ()
) -> Table:
    arrivals = [Written(a, None if a in failed else Candidate(f"c{n}", a, a)) for n, a in enumerate(authors)]
    return Table(arrivals, reviewers, each, random.Random(seed))


def groups(held: Sequence[Sequence[int]]) -> int:
    """How many groups of answers there are that no chain of ballots compares."""
    group = {place: place for places in held for place in places}
    for places in held:
        for place in places:
            old, new = group[place], group[places[0]]
            group = {key: new if value == old else value for key, value in group.items()}
    return len(set(group.values()))


some_members = st.lists(st.sampled_from(POOL), min_size=1, max_size=10, unique=True)


@settings(max_examples=300)
@given(authors=some_members, reviewers=some_members, each=EACH, seed=SEEDS, data=st.data())
def test_every_answer_gets_as_many_reviewers_and_never_its_author(
    authors: list[str], reviewers: list[str], each: int | None, seed: int, data: st.DataObject
) -> None:
    failed = data.draw(st.sets(st.sampled_from(authors)))
    sitting = table(authors, reviewers, each, seed, sorted(failed))
    held = sitting.held()
    voting = [name for name in sitting.reviewers if name not in failed]
    assert set(held) == set(voting)
    for place, author in enumerate(authors):
        by = [name for name, places in held.items() if place in places]
        if author in failed:
            assert by == []
        else:
            assert author not in by
            assert len(by) == len(set(by)) == min(each or 99, len(set(voting) - {author}))


@settings(max_examples=200)
@given(authors=some_members, each=EACH, seed=SEEDS, data=st.data())
def test_members_that_review_each_other_have_all_as_much_to_do_whoever_fails(
    authors: list[str], each: int | None, seed: int, data: st.DataObject
) -> None:
    failed = data.draw(st.sets(st.sampled_from(authors)))
    held = table(authors, authors, each, seed, sorted(failed)).held()
    left = len(authors) - len(failed)
    assert {len(places) for places in held.values()} <= {min(each or 99, left - 1)}


@settings(max_examples=300)
@given(authors=some_members, reviewers=some_members, each=EACH, seed=SEEDS)
def test_nobody_has_more_than_one_answer_more_than_another(
    authors: list[str], reviewers: list[str], each: int | None, seed: int
) -> None:
    loads = [len(places) for places in table(authors, reviewers, each, seed).held().values()]
    assert max(loads) - min(loads) <= 1


@settings(max_examples=300)
@given(authors=some_members, each=st.integers(2, 6), seed=SEEDS)
def test_ballots_of_members_on_each_other_compare_all_answers_in_a_chain(
    authors: list[str], each: int, seed: int
) -> None:
    held = [places for places in table(authors, authors, each, seed).held().values() if places]
    assert len(authors) < 3 or groups(held) == 1


def test_no_more_reviewers_sit_down_than_see_two_answers_each() -> None:
    held = table(("ann", "bob", "cat", "dan"), POOL, 2, 7).held()
    assert len(held) == 4
    assert [len(places) for places in held.values()] == [2, 2, 2, 2]
    assert len(table(("ann", "bob", "cat", "dan"), POOL, 1, 7).held()) == 10
    assert len(table(("ann", "bob", "cat", "dan"), POOL, None, 7).held()) == 10


def test_who_reviews_whom_is_drawn_and_a_seed_repeats_it() -> None:
    def pairs(seed: int) -> tuple[tuple[int, ...], ...]:
        return tuple(table(POOL[:6], POOL[:6], 2, seed).held()[name] for name in POOL[:6])

    assert pairs(3) == pairs(3)
    reviewers_of_first: Counter[int] = Counter()
    for seed in range(300):
        reviewers_of_first.update(n for n, places in enumerate(pairs(seed)) if 0 in places)
    assert set(reviewers_of_first) == {1, 2, 3, 4, 5}
    assert all(80 < times < 160 for times in reviewers_of_first.values())  # 120 expected


def test_an_author_of_two_answers_gets_neither() -> None:
    held = table(("ann", "ann", "bob"), ("ann", "bob"), None, 1).held()
    assert held == {"ann": (2,), "bob": (0, 1)}


@pytest.mark.parametrize("each", [1, 2, None])
def test_without_reviewers_or_without_answers_there_is_nothing_to_do(each: int | None) -> None:
    assert table(("ann", "bob"), (), each, 1).held() == {}
    assert table((), ("ann", "bob"), each, 1).held() == {"ann": (), "bob": ()}
    assert table(("ann",), ("ann",), each, 1).held() == {"ann": ()}


def test_a_reviewers_way_begins_before_its_own_seat_and_ends_there() -> None:
    round_the_table = [Seat("a", (0,)), Seat("b", (1,)), Seat("c", (2,)), Seat("d", (3,))]
    assert [seat.reviewer for seat in way(round_the_table, "c")] == ["b", "a", "d", "c"]
    assert [seat.reviewer for seat in way(round_the_table, "a")] == ["d", "c", "b", "a"]


def test_every_answer_lies_somewhere_and_an_own_one_before_its_author() -> None:
    seats = seated(("x", "a", "y", "b", "z"), ("a", "b"), 1, random.Random(2))
    assert sorted(place for seat in seats for place in seat.places) == [0, 1, 2, 3, 4]
    own = {seat.reviewer: seat.places for seat in seats}
    assert 1 in own["a"]
    assert 3 in own["b"]
    assert sorted(map(len, own.values())) == [2, 3]


# ---- who stands in ----------------------------------------------------------------------------


@settings(max_examples=200)
@given(authors=some_members, reviewers=some_members, each=EACH, seed=SEEDS)
def test_a_stand_in_gets_what_it_neither_wrote_nor_reviews(
    authors: list[str], reviewers: list[str], each: int | None, seed: int
) -> None:
    held = table(authors, reviewers, each, seed).held()
    taken = {name: set(places) for name, places in held.items()}
    for name, (other, places) in stand_ins(held, authors).items():
        assert other != name
        assert set(places) <= set(held[name])
        assert len(places) >= min(2, len(held[name])) > 0
        assert all(authors[place] != other for place in places)
        assert taken[other].isdisjoint(places)
        taken[other].update(places)


@pytest.mark.parametrize(("number", "each"), [(5, 2), (6, 2), (7, 3), (10, 3)])
def test_where_few_review_each_answer_everybody_has_a_stand_in_for_all_of_it(number: int, each: int) -> None:
    names = POOL[:number]
    for seed in range(20):
        held = table(names, names, each, seed).held()
        found = stand_ins(held, names)
        assert {name: set(places) for name, (_, places) in found.items()} == {n: set(held[n]) for n in names}
        assert len({other for other, _ in found.values()}) == number


@pytest.mark.parametrize("each", [None, 3, 9])
def test_where_everybody_reviews_everything_nobody_stands_in(each: int | None) -> None:
    names = POOL[:4]
    assert stand_ins(table(names, names, each, 1).held(), names) == {}
