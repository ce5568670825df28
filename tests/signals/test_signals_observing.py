"""What ballots tell about themselves, by hand, and what must not matter to it."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from coterie.ranking import normalised_borda
from coterie.signals import BallotSignals, Signals, observe
from coterie.signals.ballots import Ballot, ballots_of
from coterie.types import BallotMode, Candidate, Card, Judgement, Ranking

NAMES = ("ann", "bob", "cyd", "dan")
CARDS = {name: Card(name, model, ballot=BallotMode.TEXT) for name, model in zip(NAMES, "AABC", strict=True)}
"""Ann and Bob run one model."""

THIRD = 1 / math.sqrt(9)
"""Of three pairs two agree."""

LENGTHS = {"ann": 10, "bob": 40, "cyd": 20, "dan": 30}
CANDIDATES = [Candidate(f"c-{name}", name, "x" * LENGTHS[name]) for name in NAMES]


def ballot(reviewer: str, **scores: float) -> Judgement:
    return Judgement(reviewer, tuple(f"c-{name}" for name in scores), tuple(scores.values()), calls=("k1",))


BALLOTS = [
    ballot("ann", bob=5, cyd=3, dan=1),
    ballot("bob", ann=3, cyd=5, dan=1),
    ballot("cyd", ann=3, bob=1, dan=5),
    ballot("dan", ann=3, cyd=3, bob=3),
]


def seen(judgements: Sequence[Judgement], modes: Mapping[str, BallotMode] | None = None) -> Signals:
    ranking = normalised_borda(judgements, [c.id for c in CANDIDATES])
    return observe(judgements, ranking, CANDIDATES, CARDS, modes)


# ---- by hand ----------------------------------------------------------------------------------


def test_each_ballot_is_held_against_lengths_places_and_the_ranking() -> None:
    ranking = normalised_borda(BALLOTS, [c.id for c in CANDIDATES])
    # Shares: ann 0.5 0.5 0.5, bob 1 0 0.5, cyd 0.5 1 0.5, dan 0 0 1, so ann and bob tie.
    assert ranking.order == ("c-cyd", "c-ann", "c-bob", "c-dan")
    signals = observe(BALLOTS, ranking, CANDIDATES, CARDS)
    ann, bob, cyd, dan = signals.ballots
    # Ann's order is bob, cyd, dan. The ranking has cyd, bob, dan; lengths fall bob, dan, cyd; shown in her order.
    assert ann == BallotSignals("ann", False, THIRD, THIRD, -1.0)
    # Bob's is cyd, ann, dan, as the ranking's; lengths 20, 10, 30; shown ann, cyd, dan.
    assert bob == BallotSignals("bob", False, 1.0, -THIRD, -THIRD)
    # Cyd's is dan, ann, bob; the ranking has both others before dan; lengths 30, 10, 40; shown ann, bob, dan.
    assert cyd == BallotSignals("cyd", False, -2 / math.sqrt(3 * 2), -THIRD, THIRD)
    # Dan tells nobody apart.
    assert dan == BallotSignals("dan", False, None, None, None)


def test_overall_biases_are_over_all_pairs_inside_ballots() -> None:
    signals = seen(BALLOTS)
    # Nine pairs that scores tell apart, and three more that only lengths and places do.
    assert signals.length_bias == pytest.approx((1 - 1 - 1) / math.sqrt(9 * 12))
    assert signals.position_bias == pytest.approx((-3 - 1 + 1) / math.sqrt(9 * 12))


def test_agreement_among_reviewers_is_of_what_two_of_them_share() -> None:
    # Ann and bob share cyd and dan: both put cyd first. Ann and cyd share bob and dan: opposed. Bob and cyd share ann
    # and dan: opposed. Dan tells nothing apart. The mean of 1, -1, -1 among three.
    assert seen(BALLOTS).concordance == pytest.approx((1 + 2 * (-1 / 3)) / 3)


def test_the_margin_is_on_the_rules_scale() -> None:
    assert seen(BALLOTS).margin == pytest.approx(2 / 3 - 0.5)
    assert observe([], Ranking(("a", "b"), {"a": 2.0, "b": 2.0}, "x", (("a", "b"),)), (), {}).margin == 0.0
    assert observe([], Ranking(("a", "b"), {"a": 0.6, "b": None}, "x"), (), {}).margin is None
    assert observe([], Ranking(("a",), {"a": 1.0}, "x"), (), {}).margin is None
    assert observe([], Ranking((), {}, "x"), (), {}).margin is None


def test_a_tie_for_the_first_place_alone_makes_the_margin_nothing() -> None:
    below = Ranking(("a", "b", "c"), {"a": 3.0, "b": 2.0, "c": 2.0}, "x", (("b", "c"),))
    assert observe([], below, (), {}).margin == 1.0


def test_kin_are_held_against_what_others_give_them() -> None:
    # In spreads of a ballot (5, 3, 1): 1.2247 from top to middle. Ann puts bob 1.2247 above her mean, cyd (the only
    # other one whose ballot tells answers apart) puts him as far below. Bob puts ann in the middle, and so does cyd.
    step = 2 / math.sqrt(8 / 3)
    assert seen(BALLOTS).kin_preference == pytest.approx((2 * step + 0) / 2)


def test_without_kin_there_is_no_preference() -> None:
    strangers = {name: replace(card, model="") for name, card in CARDS.items()}
    ranking = normalised_borda(BALLOTS, [c.id for c in CANDIDATES])
    assert observe(BALLOTS, ranking, CANDIDATES, strangers).kin_preference is None
    assert observe(BALLOTS, ranking, CANDIDATES, {}).kin_preference is None
    assert seen(BALLOTS[2:]).kin_preference is None  # nobody reviews kin
    assert seen(BALLOTS[:2]).kin_preference is None  # nobody else reviews them


# ---- ballots ----------------------------------------------------------------------------------


def test_an_abstention_is_named_and_says_nothing() -> None:
    signals = seen([*BALLOTS[:2], Judgement.abstain("cyd", "ill")])
    assert signals.ballots[2] == BallotSignals("cyd", abstained=True)
    assert [b.reviewer for b in signals.ballots] == ["ann", "bob", "cyd"]


@pytest.mark.parametrize("mode", [BallotMode.LIKELIHOOD, BallotMode.SCORE_LOGPROB, BallotMode.POINTWISE])
def test_answers_that_were_read_one_by_one_have_no_place(mode: BallotMode) -> None:
    signals = seen(BALLOTS, {"ann": mode})
    assert signals.ballots[0].position_bias is None
    assert signals.ballots[0].length_bias == pytest.approx(1 / 3)
    assert signals.ballots[1].position_bias == pytest.approx(-1 / 3)
    assert seen(BALLOTS, dict.fromkeys(NAMES, mode)).position_bias is None


def test_a_ballot_that_rests_on_two_prompts_has_no_place() -> None:
    assert seen([replace(BALLOTS[0], calls=("k1", "k2"))]).ballots[0].position_bias is None


def test_a_judge_that_is_no_member_has_no_place_and_no_kin() -> None:
    signals = seen([replace(BALLOTS[0], judge="ranker")])
    assert signals.ballots == (BallotSignals("ranker", False, 1.0, THIRD, None),)
    assert signals.kin_preference is None


def test_judgements_of_one_judge_are_one_ballot() -> None:
    pairs = [
        Judgement("ann", ("x", "y"), (1.0, 0.0)),
        Judgement("ann", ("y", "z"), (1.0, 0.0)),
        Judgement("ann", ("x", "z"), (1.0, 0.0)),
        Judgement.abstain("ann", "one pair was unreadable"),
        Judgement("ann", ("stranger",), (9.0,)),
    ]
    assert ballots_of(pairs, "xyz", ["ann"]) == [Ballot("ann", {"x": 1.0, "y": 0.5, "z": 0.0})]


def test_weights_change_nothing() -> None:
    ranking = normalised_borda(BALLOTS, [c.id for c in CANDIDATES])
    light = [replace(b, weight=w) for b, w in zip(BALLOTS, (0.0, 0.2, 1.0, 3.0), strict=True)]
    assert observe(light, ranking, CANDIDATES, CARDS) == observe(BALLOTS, ranking, CANDIDATES, CARDS)


def test_no_ballot_has_no_signals() -> None:
    assert seen([]) == Signals()


# ---- in a trace -------------------------------------------------------------------------------


def test_signals_go_through_json_and_come_back() -> None:
    signals = seen([*BALLOTS, Judgement.abstain("eve", "away")])
    line = json.dumps(dataclasses.asdict(signals))
    assert TypeAdapter(Signals).validate_python(json.loads(line)) == signals


# ---- what must not matter ---------------------------------------------------------------------

few = settings(max_examples=60, deadline=None)


@st.composite
def reviewed(draw: st.DrawFn) -> tuple[list[Judgement], list[Candidate]]:
    """Peers' ballots on each other, of any scores, with gaps, and answers of any length."""
    candidates = [Candidate(f"c-{name}", name, "x" * draw(st.integers(0, 5))) for name in NAMES]
    judgements = []
    for reviewer in NAMES:
        others = draw(st.permutations([c.id for c in candidates if c.author != reviewer]))
        about = tuple(others[: draw(st.integers(0, 3))])
        scores = tuple(float(draw(st.integers(1, 5))) for _ in about)
        judgements.append(Judgement(reviewer, about, scores, abstained="" if about else "ill"))
    return judgements, candidates


def near(one: Signals, other: Signals) -> bool:
    def numbers(signals: Signals) -> list[float | None]:
        plain = [
            signals.concordance,
            signals.margin,
            signals.kin_preference,
            signals.length_bias,
            signals.position_bias,
        ]
        each = [
            (b.agreement, b.length_bias, b.position_bias) for b in sorted(signals.ballots, key=lambda b: b.reviewer)
        ]
        return [*plain, *(number for ballot in each for number in ballot)]

    pairs = zip(numbers(one), numbers(other), strict=True)
    return all(a is b is None or (a is not None and b is not None and abs(a - b) < 1e-9) for a, b in pairs)


@few
@given(drawn=reviewed(), seed=st.integers())
def test_the_order_of_judgements_and_of_candidates_does_not_matter(
    drawn: tuple[list[Judgement], list[Candidate]], seed: int
) -> None:
    judgements, candidates = drawn
    rng = random.Random(seed)
    ranking = normalised_borda(judgements, [c.id for c in candidates])
    shuffled = rng.sample(judgements, len(judgements)), rng.sample(candidates, len(candidates))
    assert near(observe(judgements, ranking, candidates, CARDS), observe(shuffled[0], ranking, shuffled[1], CARDS))


@few
@given(drawn=reviewed())
def test_ids_and_names_are_only_names(drawn: tuple[list[Judgement], list[Candidate]]) -> None:
    judgements, candidates = drawn
    ids = {c.id: f"id {n} é" for n, c in enumerate(candidates)}
    who = {name: name.upper() for name in NAMES}
    ranking = normalised_borda(judgements, [c.id for c in candidates])
    renamed = [replace(j, judge=who[j.judge], about=tuple(ids[i] for i in j.about)) for j in judgements]
    others = [replace(c, id=ids[c.id], author=who[c.author]) for c in candidates]
    cards = {who[name]: replace(card, name=who[name]) for name, card in CARDS.items()}
    again = normalised_borda(renamed, [c.id for c in others])
    assert near(observe(judgements, ranking, candidates, CARDS), observe(renamed, again, others, cards))


@few
@given(drawn=reviewed(), factor=st.sampled_from([0.5, 2.0, 10.0]), shift=st.sampled_from([-3.0, 0.0, 7.0]))
def test_a_reviewers_scale_does_not_matter(
    drawn: tuple[list[Judgement], list[Candidate]], factor: float, shift: float
) -> None:
    judgements, candidates = drawn
    ranking = normalised_borda(judgements, [c.id for c in candidates])
    scaled = [replace(j, scores=tuple(s * factor + shift for s in j.scores)) for j in judgements]
    assert near(observe(judgements, ranking, candidates, CARDS), observe(scaled, ranking, candidates, CARDS))


@few
@given(drawn=reviewed())
def test_biases_turn_when_lengths_are_turned(drawn: tuple[list[Judgement], list[Candidate]]) -> None:
    judgements, candidates = drawn
    ranking = normalised_borda(judgements, [c.id for c in candidates])
    turned = [replace(c, text="x" * (9 - len(c.text))) for c in candidates]
    one, other = observe(judgements, ranking, candidates, CARDS), observe(judgements, ranking, turned, CARDS)
    assert (one.length_bias is None) == (other.length_bias is None)
    if one.length_bias is not None and other.length_bias is not None:
        assert one.length_bias == pytest.approx(-other.length_bias)
