"""Token F1, exact match and several gold answers: by hand, by the published evaluators' rules, in other scripts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.evaluation.metrics import OverGolds, build
from coterie.evaluation.metrics.consistency import consistency
from coterie.evaluation.metrics.golds import Over, over_golds
from coterie.evaluation.metrics.metric import OpenMetric, Pair
from coterie.evaluation.metrics.words import words

ASCII = st.text(st.characters(max_codepoint=127), max_size=30)
WORDY = st.lists(st.sampled_from(["a", "the", "The", "cat", "cat.", "Dog", "-", "dog's", "an"]), max_size=8).map(
    " ".join
)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def score(name: str, hypothesis: str, reference: str, **settings: Any) -> float | None:
    with build(name, **settings).open() as metric:
        return metric.score([hypothesis], [reference])[0]


def f1(shared: int, hypothesis: int, reference: int) -> float:
    precision, recall = shared / hypothesis, shared / reference
    return 2 * precision * recall / (precision + recall)


# ---- words ------------------------------------------------------------------------------------


def by_rule(text: str) -> list[str]:
    """SQuAD's normalisation, one rule after the other."""
    lowered = text.lower()
    plain = "".join(character for character in lowered if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


@given(text=st.one_of(ASCII, WORDY))
@settings(max_examples=300, deadline=None)
def test_on_ascii_both_readings_are_the_published_rules(text: str) -> None:
    assert words(text) == words(text, "official") == by_rule(text)


@given(text=st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_the_official_reading_is_the_published_rules_on_any_text(text: str) -> None:
    assert words(text, "official") == by_rule(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The cat -- a cat's  cat!", ["cat", "cats", "cat"]),
        ("“L’été”, dit-il…", ["lété", "ditil"]),
        ("e\u0301te\u0301", ["été"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ＡＢＣ　１２", ["abc", "12"]),
        ("$5 €5 5≥ ^x` ~", ["5", "5", "5", "x"]),
        ("¿Qué? ¡Sí!", ["qué", "sí"]),
        ("北京，中国。", ["北", "京", "中", "国"]),
        ("iPhone手机 3台", ["iphone", "手", "机", "3", "台"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("ﾀﾜｰ", ["タ", "ワ", "ー"]),
        ("กรุงเทพ", list("กรุงเทพ")),
        ("서울은 크다.", ["서울은", "크다"]),
        ("Москва — столица", ["москва", "столица"]),
        ("ما هذا؟ نعم،", ["ما", "هذا", "نعم"]),
        ("क्या यह है।", ["क्या", "यह", "है"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("ok 🙂", ["ok", "🙂"]),
        ("a座 an the", ["a", "座"]),
        ("", []),
        ("The ?!", []),
    ],
)
def test_words_of_any_script(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


def test_the_official_reading_knows_ascii_alone() -> None:
    assert words("“L’été”", "official") == ["“l’été”"]
    assert words("北京，中国。", "official") == ["北京，中国。"]
    assert score("f1", "北京", "北京。") == 1.0
    assert score("f1", "北京", "北京。", reading="official") == 0.0
    assert score("exact_match", "dog’s", "dogs") == 1.0
    assert score("exact_match", "dog’s", "dogs", reading="official") == 0.0
    with pytest.raises(ConfigError, match=r"metrics\.f1\.reading"):
        build("f1", reading="offical")


# ---- F1 and exact match -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hypothesis", "reference", "wanted", "exact"),
    [
        ("Mickey Mouse.", "the mickey mouse", 1.0, 1.0),
        ("Mickey", "Mickey Mouse", f1(1, 1, 2), 0.0),
        ("it was about fifty years ago", "fifty years ago", f1(3, 6, 3), 0.0),
        ("no no no", "no", f1(1, 3, 1), 0.0),
        ("mouse mickey", "Mickey Mouse", 1.0, 0.0),
        ("yes", "no", 0.0, 0.0),
        ("", "no", 0.0, 0.0),
        ("unknown", "Unknown.", 1.0, 1.0),
        ("It is unknown", "unknown", f1(1, 3, 1), 0.0),
        ("CANNOTANSWER", "CANNOTANSWER", 1.0, 1.0),
        ("cannot answer", "CANNOTANSWER", 0.0, 0.0),
        ("?!", "The", 1.0, 1.0),
        ("", "The", 1.0, 1.0),
        ("cat", "The", 0.0, 0.0),
        ("上海", "上海市", f1(2, 2, 3), 0.0),
        ("上 海", "上海", 1.0, 1.0),
    ],
)
def test_by_hand(hypothesis: str, reference: str, wanted: float, exact: float) -> None:
    assert score("f1", hypothesis, reference) == pytest.approx(wanted, abs=1e-12)
    assert score("exact_match", hypothesis, reference) == exact


@given(hypothesis=WORDY, reference=WORDY)
@settings(max_examples=200, deadline=None)
def test_f1_is_symmetric_and_exact_match_is_no_more(hypothesis: str, reference: str) -> None:
    texts = [hypothesis or "x", reference or "x"]
    with build("f1").open() as overlap, build("exact_match").open() as exact:
        there, back = overlap.score(texts, texts[::-1])
        same = exact.score(texts[:1], texts[1:])[0]
    assert there is not None
    assert same is not None
    assert there == back
    assert 0 <= same <= there <= 1


# ---- several gold answers ---------------------------------------------------------------------


def by_leaving_out(scores: Sequence[float]) -> float:
    """CoQA's rule as its evaluator states it."""
    if len(scores) == 1:
        return scores[0]
    rounds = [max(other for m, other in enumerate(scores) if m != n) for n in range(len(scores))]
    return sum(rounds) / len(rounds)


@given(scores=SCORES)
@settings(max_examples=200, deadline=None)
def test_leave_one_out_is_the_mean_of_the_best_of_the_others(scores: list[float]) -> None:
    assert over_golds(scores, "leave_one_out") == pytest.approx(by_leaving_out(scores), abs=1e-12)
    assert over_golds(scores) == max(scores)
    assert over_golds([None, *scores, None], "leave_one_out") == over_golds(scores, "leave_one_out")


def test_of_unknown_scores_nothing_is_made() -> None:
    assert over_golds([]) is None
    assert over_golds([None, None], "leave_one_out") is None
    assert over_golds([None, 0.25], "leave_one_out") == 0.25


@pytest.mark.parametrize(("over", "wanted"), [("max", 1.0), ("leave_one_out", (1 + 1 + f1(1, 1, 2)) / 3)])
def test_an_answer_against_several_gold_answers(over: Over, wanted: float) -> None:
    golds = ["Mickey Mouse", "the Mickey", "a mouse"]
    with OverGolds(build("f1"), over).open() as metric:
        found = metric.score(["Mickey", "x", "x"], [golds, [], ["", "  "]])
        assert metric.cut == 0
    assert found == [pytest.approx(wanted), None, None]


def test_equal_gold_answers_count_for_leave_one_out_alone() -> None:
    once, twice = ["yes", "no"], ["yes", "yes", "no"]
    with OverGolds(build("f1")).open() as best, OverGolds(build("f1"), "leave_one_out").open() as others:
        assert best.score(["yes", "yes"], [once, twice]) == [1.0, 1.0]
        assert others.score(["yes", "yes"], [once, twice]) == [0.5, 1.0]


def test_columns_say_what_they_are() -> None:
    assert OverGolds(build("f1")).name == "f1"
    assert OverGolds(build("exact_match"), "leave_one_out").name == "exact_match:leave_one_out"
    assert OverGolds(build("f1")) == OverGolds(build("f1"), "max")
    with OverGolds(build("f1"), "leave_one_out").open() as metric:
        assert metric.name == "f1:leave_one_out"


class Counting:
    """A metric that scores a text by its length, and remembers what it was asked."""

    cut = 0

    def __init__(self) -> None:
        self.asked: Counter[Pair] = Counter()

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        self.asked.update(pairs)
        return [float(len(pair.reference) + 10 * len(pair.source)) for pair in pairs]


def test_every_pair_is_computed_once_and_in_its_place() -> None:
    from coterie.evaluation.metrics.golds import OpenOverGolds

    counting = Counting()
    metric = OpenOverGolds("length", OpenMetric("length", counting))
    found = metric.score(["a", "b", "a", "c"], [["x", "xx"], ["xxx"], ["xx", "x", "x"], []], ["", "?", "", ""])
    assert found == [2.0, 13.0, 2.0, None]
    assert set(counting.asked.values()) == {1}
    assert len(counting.asked) == 3


def test_wrong_calls_are_refused() -> None:
    with OverGolds(build("f1")).open() as metric:
        assert metric.score([], []) == []
        with pytest.raises(ValueError, match=r"differ in length: \[2, 1\]"):
            metric.score(["a", "b"], [["a"]])
        with pytest.raises(ValueError, match=r"differ in length: \[1, 1, 2\]"):
            metric.score(["a"], [["a"]], ["q", "q"])
        with pytest.raises(TypeError, match="not one text"):
            metric.score(["a"], ["a"])
    with pytest.raises(RuntimeError, match="closed"):
        metric.score(["a"], [["a"]])


@pytest.mark.parametrize(
    ("name", "extra"), [("rougeL", "rouge_score"), ("bleu", "sacrebleu"), ("f1", "re"), ("exact_match", "re")]
)
def test_the_best_gold_answer_is_that_of_every_metric(name: str, extra: str) -> None:
    pytest.importorskip(extra, reason="the metric needs the extra eval")
    answers = ["the cat sat", "it rains", "Paris", ""]
    golds = [["a cat sits", "the cat sat down"], ["the dog", "it rains here", "it"], ["Paris"], ["x", "y"]]
    with build(name).open() as metric, OverGolds(build(name)).open() as over:
        wanted = [
            max(s for s in metric.score([answer] * len(of), of) if s is not None)
            for answer, of in zip(answers, golds, strict=True)
        ]
        assert over.score(answers, golds) == pytest.approx(wanted)


# ---- passages and gold answers ----------------------------------------------------------------


def test_consistency_has_a_column_for_each_kind_of_context() -> None:
    metric = OpenMetric("alignscore", Counting())
    found = consistency(
        metric,
        ["a", "b", "c", "d"],
        ["some passage", "", " \n", ""],
        [["gold"], ["", "golden", "x"], [], ["g"]],
    )
    assert found == {
        "alignscore:passage": [12.0, None, None, None],
        "alignscore:gold": [None, 6.0, None, 1.0],
    }
    assert list(found) == ["alignscore:passage", "alignscore:gold"]


def test_consistency_makes_no_column_that_would_be_empty() -> None:
    metric = OpenMetric("alignscore", Counting())
    assert consistency(metric, ["a"], ["text"], [[]]) == {"alignscore:passage": [4.0]}
    assert consistency(metric, ["a"], [""], [["text"]]) == {"alignscore:gold": [4.0]}
    assert consistency(metric, ["a"], [""], [[" "]]) == {}
    assert consistency(metric, [], [], []) == {}
    with pytest.raises(ValueError, match=r"differ in length: \[1, 2, 1\]"):
        consistency(metric, ["a"], ["", ""], [[]])
