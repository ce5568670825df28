"""Which pairs the ranker compares, what comes of it, and the ranker without a committee."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import permutations

import pytest

from coterie import Committee, ConfigError, Limits
from coterie.examples.conversation import Turn
from coterie.judges.engine import Engine
from coterie.judges.pair_ranker import PairRanker, PairRankerWeights
from coterie.judges.pair_ranker.comparing import KINDS, Kind, Match, Plan, aplay, begin, play
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.opened import OpenPairRanker, Reading, Reference
from coterie.ranked import Ranked
from coterie.ranking import unbeaten
from coterie.types import Judgement, Message, Role
from golden import RANKER, golden

torch = pytest.importorskip("torch", reason="the pair ranker needs the extra torch")

TOLERANCE = 1e-6
WEIGHTS = PairRankerWeights(str(RANKER), device="cpu")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine[Pair]]:
    loaded = WEIGHTS.load()
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def committee() -> Iterator[Committee]:
    """Nobody but a house, in which the ranker is opened once for all tests of this file."""
    with Committee((), {}) as opened:
        yield opened


def judge(kind: Kind = "full", k: int = 1) -> PairRanker:
    return PairRanker(str(RANKER), device="cpu", tournament=kind, k=k)


def furthest(found: Sequence[float | None], wanted: Sequence[float]) -> float:
    return max(abs((a if a is not None else float("nan")) - b) for a, b in zip(found, wanted, strict=True))


def wins(table: Sequence[Sequence[float]]) -> list[int]:
    """How many others each beats, by both readings together."""
    places = range(len(table))
    return [sum(table[i][j] - table[j][i] > 0 for j in places) for i in places]


ROWS = range(len(golden().inputs))

LINES = [n for n in ROWS if sorted(wins(golden().logits[n])) == list(range(5))]
"""The golden fields in which no three beat each other in a circle."""


def in_line(n: int) -> list[int]:
    """The places of such a field, best first: what every tournament must find."""
    won = wins(golden().logits[n])
    return sorted(range(5), key=lambda i: -won[i])


def best_of(n: int) -> int:
    """The place of whoever beats all others."""
    return wins(golden().logits[n]).index(4)


def test_the_golden_fields_decide_something() -> None:
    assert len(LINES) == 3
    assert all(best_of(n) in range(5) for n in ROWS)


# ---- golden numbers, through a committee ------------------------------------------------------


@pytest.mark.parametrize("n", ROWS)
def test_golden_scores_and_ranks_of_given_texts(committee: Committee, n: int) -> None:
    found = golden()
    ranked = committee.rank(found.inputs[n], found.candidates[n], judge=judge())
    assert furthest(ranked.scores, found.scores[n]) < TOLERANCE
    assert list(ranked.ranks) == found.ranks[n]
    logits = {j.about: j.scores[0] - j.scores[1] for j in ranked.judgements}
    wanted = {(f"c{i + 1}", f"c{j + 1}"): found.logits[n][i][j] for i, j in permutations(range(5), 2)}
    assert list(logits) == list(wanted)
    assert furthest(list(logits.values()), list(wanted.values())) < TOLERANCE
    assert ranked.notes == ()


def test_golden_scores_of_many_at_once() -> None:
    found = golden()

    async def main() -> list[Ranked]:
        async with Committee((), {}) as own:
            asked = zip(found.inputs, found.candidates, strict=True)
            return await asyncio.gather(*(own.arank(i, texts, judge=judge()) for i, texts in asked))

    for ranked, scores, ranks in zip(asyncio.run(main()), found.scores, found.ranks, strict=True):
        assert furthest(ranked.scores, scores) < TOLERANCE
        assert list(ranked.ranks) == ranks


# ---- tournaments ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", ROWS)
def test_a_bubble_puts_the_best_first_with_n_minus_one_comparisons(committee: Committee, n: int, seed: int) -> None:
    found = golden()
    ranked = committee.rank(found.inputs[n], found.candidates[n], judge=judge("bubble"), rule="unbeaten", seed=seed)
    assert ranked.best.id == f"c{best_of(n) + 1}"
    assert ranked.ranks.count(1) == 1
    assert len(ranked.judgements) == 2 * 4
    assert ranked.notes == ("the pair ranker compared 4 of 10 pairs, which decides the best and nothing else",)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("n", LINES)
def test_a_knock_out_puts_the_first_k_in_their_order(committee: Committee, n: int, k: int) -> None:
    found = golden()
    ranked = committee.rank(found.inputs[n], found.candidates[n], judge=judge("top_k", k), rule="unbeaten")
    best = [f"c{place + 1}" for place in in_line(n)]
    assert list(ranked.ranking.order[:k]) == best[:k]
    assert [ranked.ranking.ranks[id_] for id_ in best[:k]] == list(range(1, min(k, 5) + 1))
    assert len(ranked.judgements) <= 2 * 10
    assert len({frozenset(j.about) for j in ranked.judgements}) * 2 == len(ranked.judgements)  # both readings of each


def test_only_the_pairs_that_were_asked_about_are_computed(engine: Engine[Pair]) -> None:
    fresh = WEIGHTS.load()
    texts = [f"text number {n}" for n in range(9)]
    play(fresh, [begin(fresh, "a source", texts, Plan("bubble"), random.Random(1))])
    assert fresh.spent.computed == 2 * 8
    fresh.close()


def test_the_bubbles_order_is_drawn_from_the_runs_seed(committee: Committee) -> None:
    found = golden()

    def asked(seed: int) -> tuple[Judgement, ...]:
        ranked = committee.rank(found.inputs[0], found.candidates[0], judge=judge("bubble"), rule="unbeaten", seed=seed)
        return ranked.judgements

    assert asked(3) == asked(3)
    assert len({tuple(j.about for j in asked(seed)) for seed in range(10)}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_equal_texts_share_a_rank_wherever_they_stand(committee: Committee, kind: Kind) -> None:
    found = golden()
    texts = found.candidates[LINES[0]]
    best, worst = in_line(LINES[0])[0], in_line(LINES[0])[-1]
    doubled = [texts[worst], texts[best], texts[worst], texts[best]]
    rule = "max_logits" if kind == "full" else "unbeaten"
    for seed in range(6):
        ranked = committee.rank(found.inputs[LINES[0]], doubled, judge=judge(kind), rule=rule, seed=seed)
        assert ranked.ranks == (3, 1, 3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_when_all_texts_are_equal_all_are_tied(committee: Committee, kind: Kind) -> None:
    ranked = committee.rank("q", ["x"] * 3, judge=judge(kind), rule="max_logits" if kind == "full" else "unbeaten")
    assert ranked.ranks == (1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_candidate_is_compared_with_nobody(committee: Committee, kind: Kind) -> None:
    rule = "max_logits" if kind == "full" else "unbeaten"
    ranked = committee.rank("q", ["x"], judge=judge(kind), rule=rule)
    assert ranked.ranks == (1,)
    assert [j.abstained for j in ranked.judgements] == ["one candidate has no other to be compared with"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_deadline_is_an_abstention(committee: Committee, kind: Kind) -> None:
    rule = "max_logits" if kind == "full" else "unbeaten"
    texts = [f"another text, number {n} of the {kind} tournament" for n in range(30)]
    ranked = committee.rank("q", texts, judge=judge(kind), rule=rule, limits=Limits(deadline_s=0.001))
    assert [bool(j.abstained) for j in ranked.judgements] == [True]
    assert ranked.partial


@pytest.mark.parametrize("rule", ["max_logits", "mean", "max_wins", "bradley_terry"])
@pytest.mark.parametrize("kind", ["bubble", "top_k"])
def test_a_rule_that_would_misread_few_comparisons_is_refused(committee: Committee, kind: Kind, rule: str) -> None:
    with pytest.raises(ConfigError, match="use 'unbeaten'"):
        committee.rank("q", ["x", "y"], judge=judge(kind), rule=rule)


@pytest.mark.parametrize(("kind", "k", "said"), [("swiss", 1, "not 'swiss'"), ("top_k", 0, "not 0")])
def test_what_is_no_tournament_is_refused(kind: Kind, k: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        judge(kind, k)


def test_the_tournament_does_not_load_the_weights_again() -> None:
    assert judge()._weights() == judge("top_k", 3)._weights() == WEIGHTS


def test_matches_are_played_side_by_side_as_they_would_be_alone(engine: Engine[Pair]) -> None:
    found = golden()

    def begun(n: int) -> Match:
        return begin(engine, found.inputs[n], found.candidates[n], Plan("top_k", 2))

    together = [begun(n) for n in LINES]
    play(engine, together)
    for n, played in zip(LINES, together, strict=True):
        alone = begun(n)
        asyncio.run(aplay(engine, alone))
        assert (alone.outcome, alone.readings) == (played.outcome, played.readings)
        assert list(played.best) == in_line(n)[:2]


def test_the_worst_is_found_too(engine: Engine[Pair]) -> None:
    found = golden()
    for kind in ("bubble", "top_k"):
        matches = [begin(engine, found.inputs[n], found.candidates[n], Plan(kind, worst=True)) for n in LINES]
        play(engine, matches)
        assert [m.best[0] for m in matches] == [in_line(n)[-1] for n in LINES]


def test_an_empty_field_decides_nothing(engine: Engine[Pair]) -> None:
    for kind in KINDS:
        played = begin(engine, "q", [], Plan(kind))
        play(engine, [played])
        assert (played.best, dict(played.readings)) == ((), {})


def test_what_unbeaten_makes_of_a_match_is_what_the_match_decided(engine: Engine[Pair]) -> None:
    rng = random.Random(5)
    for _ in range(10):
        texts = [" ".join(rng.choices(["one", "two", "three", "four"], k=3)) for _ in range(9)]
        played = begin(engine, "which?", texts, Plan("top_k", 3))
        play(engine, [played])
        said = [Judgement("r", (str(a), str(b)), scores) for (a, b), scores in played.readings.items()]
        order = unbeaten(said, [str(n) for n in range(9)]).order
        assert [int(id_) for id_ in order[: len(played.best)]] == list(played.best)


# ---- without a committee ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranker(engine: Engine[Pair]) -> OpenPairRanker:
    return OpenPairRanker(engine)


def test_golden_logits_scores_and_ranks_one_by_one_and_together(ranker: OpenPairRanker) -> None:
    found = golden()
    together = ranker.rank_many(found.inputs, found.candidates)
    tables = ranker.logits_many(found.inputs, found.candidates)
    for n, scored in enumerate(together):
        assert furthest(scored.scores, found.scores[n]) < TOLERANCE
        assert list(scored.ranks) == found.ranks[n]
        assert scored == ranker.rank(found.inputs[n], found.candidates[n])
        assert tables[n] == ranker.logits(found.inputs[n], found.candidates[n])
        for row, wanted in zip(tables[n], found.logits[n], strict=True):
            assert furthest(row, wanted) < TOLERANCE
        assert [scored.texts.index(text) + 1 for text in scored.best_first] == [
            found.ranks[n].index(rank) + 1 for rank in range(1, 6)
        ]


def test_a_committee_and_the_open_ranker_say_the_same(committee: Committee, ranker: OpenPairRanker) -> None:
    found = golden()
    for rule in ("max_logits", "max_wins", "bradley_terry", "copeland"):
        for source, texts in zip(found.inputs, found.candidates, strict=True):
            ranked, scored = committee.rank(source, texts, judge=judge(), rule=rule), ranker.rank(source, texts, rule)
            assert ranked.ranks == scored.ranks
            assert furthest(ranked.scores, scored.scores) < TOLERANCE


def test_a_comparison_is_positive_when_the_first_is_better_however_it_is_read(ranker: OpenPairRanker) -> None:
    found = golden()
    pairs = list(permutations(range(5), 2))
    texts, table = found.candidates[0], found.logits[0]
    a, b = ([texts[pair[n]] for pair in pairs] for n in (0, 1))
    sources = [found.inputs[0]] * len(pairs)
    wanted: dict[Reading, list[float]] = {
        "a_first": [table[i][j] for i, j in pairs],
        "b_first": [-table[j][i] for i, j in pairs],
        "both": [table[i][j] - table[j][i] for i, j in pairs],
    }
    for reading, margins in wanted.items():
        assert furthest(ranker.compare_many(sources, a, b, reading), margins) < 2 * TOLERANCE
        assert ranker.compare(sources[0], a[0], b[0], reading) == pytest.approx(margins[0], abs=2 * TOLERANCE)
    assert ranker.compare(sources[0], a[0], b[0]) == -ranker.compare(sources[0], b[0], a[0])
    assert ranker.compare("q", "same", "same") == 0


def test_against_a_reference(ranker: OpenPairRanker) -> None:
    found = golden()
    texts, table = found.candidates[1], found.logits[1]
    modes: dict[Reference, str] = {
        "longest": max(texts, key=len),
        "shortest": min(texts, key=len),
        "median_length": sorted(texts, key=len)[2],
        "first": texts[0],
        "last": texts[-1],
    }
    for mode, reference in modes.items():
        r = texts.index(reference)
        scored = ranker.rank_with_reference(found.inputs[1], texts, mode=mode)
        assert furthest(scored.scores, [table[c][r] - table[r][c] for c in range(5)]) < 2 * TOLERANCE
        assert scored.scores[r] == 0
        assert scored == ranker.rank_with_reference(found.inputs[1], texts, reference=reference)
    stranger = ranker.rank_with_reference(found.inputs[1], texts, "somebody else's text")
    wanted = [ranker.compare(found.inputs[1], text, "somebody else's text") for text in texts]
    assert list(stranger.scores) == wanted
    assert stranger.best == texts[max(range(5), key=wanted.__getitem__)]
    assert ranker.rank_with_reference("q", ["alone"]).scores == (0.0,)


@pytest.mark.parametrize("kind", KINDS)
def test_best_and_worst_of_n(ranker: OpenPairRanker, kind: Kind) -> None:
    found = golden()
    inputs, candidates = [found.inputs[n] for n in LINES], [found.candidates[n] for n in LINES]
    best = ranker.best_of_n_many(inputs, candidates, kind)
    worst = ranker.worst_of_n_many(inputs, candidates, kind)
    if kind == "full":  # by summed margins, and not by who beats whom
        assert best == [texts[found.ranks[n].index(1)] for n, texts in zip(LINES, candidates, strict=True)]
        assert worst == [texts[found.ranks[n].index(5)] for n, texts in zip(LINES, candidates, strict=True)]
    else:
        assert best == [texts[in_line(n)[0]] for n, texts in zip(LINES, candidates, strict=True)]
        assert worst == [texts[in_line(n)[-1]] for n, texts in zip(LINES, candidates, strict=True)]
    for place, (source, texts) in enumerate(zip(inputs, candidates, strict=True)):
        assert ranker.best_of_n(source, texts, kind) == best[place]
        assert ranker.worst_of_n(source, texts, kind) == worst[place]
    assert ranker.best_of_n("q", ["alone"], kind) == ranker.worst_of_n("q", ["alone"], kind) == "alone"


def test_the_first_k_are_chosen_in_their_order(ranker: OpenPairRanker) -> None:
    found = golden()
    for n in LINES:
        chosen = ranker.choose(found.inputs[n], found.candidates[n], Plan("top_k", 3))
        assert chosen == [found.candidates[n][place] for place in in_line(n)[:3]]
        turned = ranker.choose(found.inputs[n], found.candidates[n], Plan("top_k", 2, worst=True))
        assert turned == [found.candidates[n][place] for place in in_line(n)[:2:-1]]
    assert sorted(ranker.choose("q", ["x", "y", "x"], Plan("top_k", 3))) == ["x", "x", "y"]
    full = ranker.choose(found.inputs[0], found.candidates[0], Plan("full"))
    assert full == list(ranker.rank(found.inputs[0], found.candidates[0]).best_first)


def conversation(*answers: str, roles: tuple[Role, Role] = ("user", "assistant")) -> list[Message]:
    users = ["Who wrote Faust?", "When?"]
    return [
        Message(role, text)
        for user, answer in zip(users, answers, strict=True)
        for role, text in zip(roles, (user, answer), strict=True)
    ]


def test_conversations_are_read_in_the_training_format(ranker: OpenPairRanker) -> None:
    a, b = conversation("Goethe.", "In 1808."), conversation("Schiller.", "Never.")
    source = (
        "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
        "USER: Who wrote Faust?\nAssistant: <Response 1>\nUSER: When?\nAssistant: <Response 2>"
    )
    answers = "<Response 1>: Goethe.\n<Response 2>: In 1808.", "<Response 1>: Schiller.\n<Response 2>: Never."
    margin = ranker.compare(source, *answers)
    assert margin != 0
    assert ranker.compare_conversations(a, b) == margin
    as_mappings = [{"role": m.role.upper(), "content": m.text} for m in b]
    assert ranker.compare_conversations_many([a, a], [as_mappings, a], "a_first") == [
        ranker.compare(source, *answers, reading="a_first"),
        ranker.compare(source, answers[0], answers[0], reading="a_first"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (conversation("x", "y")[:2], conversation("x", "y"), "USER turns are the same"),
        (conversation("x", "y")[:3], conversation("x", "y")[:3], "ends with ASSISTANT"),
        ([], [], "alternates"),
        ([Message("system", "Be brief."), *conversation("x", "y")], conversation("x", "y"), "this has \\['SYSTEM'"),
        ([{"role": "user"}], [], "a turn has a role and a content"),
    ],
)
def test_conversations_that_cannot_be_compared(ranker: OpenPairRanker, a: list[Turn], b: list[Turn], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ranker.compare_conversations(a, b)


def test_what_does_not_fit_together_is_refused(ranker: OpenPairRanker) -> None:
    with pytest.raises(ConfigError, match="2 inputs and 1 lists"):
        ranker.rank_many(["a", "b"], [["x"]])
    with pytest.raises(ConfigError, match=r"inputs \[1\] have no candidate"):
        ranker.rank_many(["a", "b"], [["x"], []])
    with pytest.raises(ConfigError, match="a list of lists"):
        ranker.rank_many("ab", [["x"], ["y"]])
    with pytest.raises(ConfigError, match="a list of lists"):
        ranker.rank("a", "xy")
    with pytest.raises(ConfigError, match="1 sources, 2 texts a and 1 texts b"):
        ranker.compare_many(["q"], ["x", "y"], ["z"])
    with pytest.raises(ConfigError, match="1 lists of candidates and 2 references"):
        ranker.rank_with_reference_many(["q"], [["x"]], ["y", "z"])
    with pytest.raises(ConfigError, match="not 'tallest'"):
        ranker.rank_with_reference("q", ["x"], mode="tallest")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not 'AB'"):
        ranker.compare("q", "x", "y", "AB")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="1 conversations a and 0"):
        ranker.compare_conversations_many([[]], [])
    with pytest.raises(ConfigError, match="no ranking rule 'best'"):
        ranker.rank("q", ["x"], "best")


def test_empty_equal_and_single_texts(ranker: OpenPairRanker) -> None:
    scored = ranker.rank("", ["", "word", ""])
    assert scored.ranks in ((1, 3, 1), (2, 1, 2))
    assert scored.scores[0] == scored.scores[2]
    alone = ranker.rank("q", ["alone"])
    assert (alone.scores, alone.ranks, alone.best) == ((0.0,), (1,), "alone")
    assert ranker.rank_many([], []) == []


def test_what_was_read_once_is_not_computed_again() -> None:
    with OpenPairRanker.load(WEIGHTS) as fresh:
        fresh.rank("a source", ["x", "y", "z"])
        computed = fresh.engine.spent.computed
        fresh.best_of_n("a source", ["x", "y", "z"], "bubble")
        fresh.compare("a source", "x", "z")
        fresh.rank_with_reference("a source", ["x", "y"], "z")
        assert fresh.engine.spent.computed == computed == 6
    with pytest.raises(RuntimeError, match="closed"):
        fresh.rank("a source", ["new", "texts"])


def test_a_bubble_depends_on_its_own_row_and_seed_alone() -> None:
    found = golden()
    n = next(n for n in ROWS if n not in LINES)  # where the order can matter
    with OpenPairRanker.load(WEIGHTS, seed=3) as fresh:
        alone = fresh.worst_of_n(found.inputs[n], found.candidates[n], "bubble")
        among = fresh.worst_of_n_many(
            [*found.inputs, found.inputs[n]], [*found.candidates, found.candidates[n]], "bubble"
        )
        assert alone == among[n] == among[-1]
