"""Qualities out of scores, and what becomes of examples that nothing can be learned from."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from coterie.errors import ConfigError
from coterie.examples import Comparison, Example, Text
from coterie.training import ready
from coterie.training.corpus import Corpus, Data, DataFile, gather
from coterie.training.length import leads, log_ratio, slope
from coterie.training.preparing import Ids, Prepared, Preparing, Tokens, distinct
from coterie.training.quality import qualities
from coterie.training.settings import PairRankerTraining
from learnable import pairs, written


class Letters:
    """Reads a text as its letters, at most eight of them."""

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:
        cut = any(len(text) > 8 for text in texts)
        return Tokens(None, tuple(Ids(array("i", map(ord, text[:8]))) for text in texts), cut=cut)


def example(*texts: str, scores: Sequence[float | None] = (), prompt: str = "which?", **more: Any) -> Example:
    known = [*scores, *[None] * len(texts)]
    made = (
        Text(text, "", {} if score is None else {"preference": score})
        for text, score in zip(texts, known, strict=False)
    )
    return Example("1", input=prompt, candidates=tuple(made), **more)


def prepared(*examples: Example, ties: bool = False) -> tuple[list[Prepared], Counter[str]]:
    left_out: Counter[str] = Counter()
    return list(Preparing(Letters(), ("preference",), ties).all(examples, left_out)), left_out


# ---- qualities ----------------------------------------------------------------------------------


def test_qualities_follow_the_metrics_and_weigh_per_cent() -> None:
    made = Example("1", candidates=(Text("a", "", {"bleu": 40.0, "bartscore": -3.0, "rouge1": 0.5}),))
    assert qualities(made, ["bartscore", "bleu", "rouge1"]) == [pytest.approx((-3.0, 0.4, 0.5))]


def test_a_missing_metric_makes_no_quality() -> None:
    made = Example("1", candidates=(Text("a", "", {"bleu": 1.0}), Text("b", "", {"bleu": 1.0, "cider": 2.0})))
    assert qualities(made, ["bleu", "cider"]) == [None, pytest.approx((0.01, 0.02))]


def test_comparisons_are_wins_less_losses() -> None:
    texts = tuple(map(Text, "abcd"))
    said = (Comparison(0, 1, "a"), Comparison(0, 2, "same_good"), Comparison(1, 2, "b"))
    found = qualities(Example("1", candidates=texts, comparisons=said), ["comparisons"])
    assert found == [(2.0,), (-4.0,), (2.0,), None]


# ---- what is left out ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (example(), "examples without candidates"),
        (example("a", scores=[1]), "examples with one candidate"),
        (example("a", "b", scores=[1, 0], prompt=" \n"), "examples without a question"),
        (example("a", "b"), "examples without labels"),
        (example("a", "b", scores=[1, None]), "examples with one usable candidate"),
        (example("a", " ", scores=[1, 0]), "examples with one usable candidate"),
        (example("same", "same", scores=[1, 0]), "examples whose texts are equal, as they are read"),
        (example("same text A", "same text B", scores=[1, 0]), "examples whose texts are equal, as they are read"),
        (example("a", "b", scores=[1, 1]), "examples whose candidates are equally good"),
    ],
)
def test_examples_that_teach_nothing_are_counted(made: Example, reason: str) -> None:
    found, left_out = prepared(made)
    assert found == []
    assert left_out[reason] == 1


def test_ties_stay_where_the_loss_learns_from_them() -> None:
    found, _ = prepared(example("a", "b", scores=[1, 1]), ties=True)
    assert [p.qualities for p in found] == [((1.0,), (1.0,))]


def test_of_equal_texts_the_first_is_kept_with_its_quality() -> None:
    found, left_out = prepared(example("one", "two", "one", "three", "", "four", scores=[3, 2, 1, 0, 5, None]))
    assert [p.places for p in found] == [(0, 1, 3)]
    assert found[0].qualities == ((3.0,), (2.0,), (0.0,))
    assert [chr(ids.ids[0]) for ids in found[0].tokens.candidates] == ["o", "t", "t"]
    assert left_out == {
        "candidates equal to another, as they are read": 1,
        "candidates without text": 1,
        "candidates without labels": 1,
    }


def test_distinct_keeps_the_first() -> None:
    assert distinct(["a", "b", "a", "c", "b"]) == [0, 1, 3]
    assert distinct([]) == []


# ---- both sides ---------------------------------------------------------------------------------


def made_ready(*examples: Example, **settings: Any) -> ready.Ready:
    return ready.make(Corpus(list(examples), list(examples), Counter()), Letters(), PairRankerTraining(**settings))


def test_nothing_to_learn_from_says_why_and_which_metrics_there_are() -> None:
    with pytest.raises(ConfigError, match=r"nothing to learn from.* 2 examples with one candidate"):
        made_ready(example("a", scores=[1]))
    with pytest.raises(ConfigError, match="asked for are bleurt, those that candidates have are preference"):
        made_ready(example("a", "b", scores=[1, 0]), metrics=("bleurt",))


def test_nothing_to_measure_is_an_error_too() -> None:
    with pytest.raises(ConfigError, match="nothing to measure"):
        ready.make(Corpus([example("a", "b", scores=[1, 0])], [], Counter()), Letters(), PairRankerTraining())


def test_shares_are_asked_for_where_the_loss_needs_them() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        made_ready(example("a", "b", scores=[2, 0]), loss="open_instruct_BCE")


def test_the_fingerprint_knows_texts_and_labels() -> None:
    prints = {
        made_ready(example("a", "b", scores=[1, 0])).fingerprint(),
        made_ready(example("a", "c", scores=[1, 0])).fingerprint(),
        made_ready(example("a", "b", scores=[0, 1])).fingerprint(),
    }
    assert len(prints) == 3
    assert made_ready(example("a", "b", scores=[1, 0])).fingerprint() in prints


def test_the_fingerprint_knows_questions_references_and_sides() -> None:
    def side(source: str = "s", reference: str = "r", texts: str = "ab|c") -> Prepared:
        read = [Ids(array("i", map(ord, text))) for text in (source, reference, *texts.split("|"))]
        return Prepared(example(), (0, 1), Tokens(read[0], tuple(read[2:]), read[1]), ((1.0,), (0.0,)))

    sides = [side(), side(source="t"), side(reference="q"), side(texts="a|bc")]
    made = [ready.Ready([one], [two], Counter()).fingerprint() for one in sides for two in sides]
    assert len(set(made)) == len(made)
    moved = ready.Ready([side(), side()], [], Counter())
    assert moved.fingerprint() != ready.Ready([side()], [side()], Counter()).fingerprint()


# ---- files --------------------------------------------------------------------------------------


def test_no_prompt_is_on_both_sides(tmp_path: Path) -> None:
    records = pairs(60)
    file = written(tmp_path / "all.jsonl", records)
    dev = written(tmp_path / "dev.jsonl", [records[3] | {"prompt": records[3]["prompt"].upper()}])
    found = gather(Data((DataFile(file),), dev=dev))
    assert (len(found.train), len(found.dev)) == (59, 1)
    assert found.left_out["examples whose prompt is measured"] == 1
    split = gather(Data((DataFile(file),)))
    assert {e.source for e in split.train}.isdisjoint(e.source for e in split.dev)
    assert len(split.train) + len(split.dev) == 60


def test_what_is_left_out_of_learning_is_measured_whole(tmp_path: Path) -> None:
    file = written(tmp_path / "all.jsonl", pairs(60))
    found = gather(Data((DataFile(file),)), leave_out=["odd"])
    assert {e.origin for e in found.train} == {"even"}
    assert sum(e.origin == "odd" for e in found.dev) == 30
    assert found.left_out["examples that are only measured"] == 30 - sum(e.origin == "odd" for e in split_of(file).dev)
    with pytest.raises(ConfigError, match=r"origin or label type is 'other'; there are even, odd, rule"):
        gather(Data((DataFile(file),)), leave_out=["other"])


def split_of(file: str) -> Corpus:
    return gather(Data((DataFile(file),)))


def test_what_is_to_be_measured_alone_is_not_where_its_prompt_is_learned(tmp_path: Path) -> None:
    records = pairs(60)
    asked = {e.source for e in split_of(written(tmp_path / "all.jsonl", records)).train}
    learned, alone = [record for record in records if record["prompt"] in asked][:2]
    same = {**learned, "source": "barred"}
    other = {**alone, "source": "barred"}
    records = [record for record in records if record is not alone]
    found = gather(Data((DataFile(written(tmp_path / "more.jsonl", [*records, same, other])),)), ["barred"])
    assert [e.source for e in found.dev if e.origin == "barred"] == [alone["prompt"]]
    assert found.left_out["examples that are only measured"] == 1
    assert found.left_out["examples to be measured alone whose prompt is learned"] == 1


# ---- length -------------------------------------------------------------------------------------


def test_the_slope_is_found_again() -> None:
    rng = Random(0)
    xs = [rng.gauss(0, 0.7) for _ in range(20_000)]
    better = [x if rng.random() < 1 / (1 + math.exp(-1.3 * x)) else -x for x in xs]
    assert slope(better) == pytest.approx(1.3, abs=0.06)


def test_the_slope_is_finite_where_the_longer_always_wins_and_zero_where_length_says_nothing() -> None:
    assert 1 < slope([0.5] * 100) < 50
    assert slope([0.5, -0.5] * 100) == pytest.approx(0)
    assert slope([]) == 0


def test_leads_are_of_the_better_text_over_the_worse_one() -> None:
    found, _ = prepared(example("aaa", "b", scores=[0, 1]), example("aaaa", "b", scores=[1, 0]))
    assert leads((p, (0, 1)) for p in found) == pytest.approx([-log_ratio(3, 1), log_ratio(4, 1)])
    assert leads((p, (1, 0)) for p in found) == pytest.approx([-log_ratio(3, 1), log_ratio(4, 1)])
    assert [p.leaning((1, 0)) for p in found] == [-1, 1]
