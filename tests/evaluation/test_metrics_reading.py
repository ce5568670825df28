"""Texts that several pairs share are read once, whichever the order of the pairs, and are let go of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_models import bart, bert

from coterie.evaluation.metrics import OverGolds, build, loading
from coterie.evaluation.metrics.loading import read_once

WANTED = st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=3), max_size=40)
ANSWERS = ["the cat", "yes", "a dog sits", "the cat", "yes", "it rains"]
GOLDS = [["a cat", "the cat"], ["yes", "it is"], ["a dog", "the dog sits", "a cat"], ["a cat"], ["no", "yes"], ["it"]]


@given(wanted=WANTED, at_once=st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_every_place_gets_its_texts_and_every_text_is_read_once(wanted: list[list[str]], at_once: int) -> None:
    read: Counter[str] = Counter()

    def reads(texts: Sequence[str]) -> list[str]:
        read.update(texts)
        return [text * 2 for text in texts]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "AT_ONCE", at_once)
        seen: list[int] = []
        for places, held in read_once(wanted, reads):
            before = read.total()
            for place in places:
                assert [held[text] for text in wanted[place]] == [text * 2 for text in wanted[place]]
            seen += places
            assert read.total() == before
    assert sorted(seen) == list(range(len(wanted)))
    assert read == Counter({text: 1 for of in wanted for text in of})


def test_texts_of_one_question_are_held_for_its_blocks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members by members, each held against the same gold answers: a caller's order that a block could not bear."""
    monkeypatch.setattr(loading, "AT_ONCE", 200)
    pairs = [(f"member {m} answers {q}", f"gold {q}") for m in range(4) for q in range(100)]
    pairs += [("yes", f"gold {q}") for q in range(100)]
    fresh: list[int] = []

    def reads(texts: Sequence[str]) -> Sequence[str]:
        fresh.append(sum(map(len, texts)))
        return texts

    most = max(sum(map(len, held)) for _, held in read_once(pairs, reads))
    assert max(fresh) <= 200
    assert len(fresh) < len(pairs) / 5
    assert most <= 200 + len("yes") + len("gold 10 member 3 answers 10")  # what a block shares with the one before it


@pytest.fixture(scope="module")
def settings_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("torch", reason="metrics with a network need the extra torch")

    def model(made: Path) -> dict[str, Any]:
        return {"model": str(made), "device": "cpu"}

    return {
        "bertscore": {**model(bert(tmp_path_factory.mktemp("bert"))), "num_layers": 2},
        "bartscore": model(bart(tmp_path_factory.mktemp("bart"))),
        "bleurt": model(bert(tmp_path_factory.mktemp("bleurt"), outputs=1)),
    }


@pytest.mark.parametrize("name", ["bertscore", "bartscore", "bleurt"])
@pytest.mark.parametrize("at_once", [1, 20, 400_000])
def test_the_best_gold_answer_of_every_network(
    name: str, at_once: int, settings_of: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with build(name, **settings_of[name]).open() as metric:
        each = [metric.score([answer] * len(of), of) for answer, of in zip(ANSWERS, GOLDS, strict=True)]
    monkeypatch.setattr(loading, "AT_ONCE", at_once)
    with OverGolds(build(name, **settings_of[name])).open() as over:
        found = over.score(ANSWERS, GOLDS)
    assert found == pytest.approx([max(s for s in of if s is not None) for of in each], abs=1e-5)


def test_bertscore_embeds_and_bartscore_encodes_each_text_once(
    settings_of: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from coterie.evaluation.metrics.bartscore import _BartScore
    from coterie.evaluation.metrics.bertscore import _BertScore

    monkeypatch.setattr(loading, "AT_ONCE", 10)
    read: Counter[str] = Counter()
    for cls, method in ((_BertScore, "_see"), (_BartScore, "_hear")):
        reads = getattr(cls, method)

        def watched(self: Any, texts: Sequence[str], reads: Any = reads) -> Any:
            read.update(texts)
            return reads(self, texts)

        monkeypatch.setattr(cls, method, watched)
    for name, wanted in (
        ("bertscore", {*ANSWERS, *(gold for of in GOLDS for gold in of)}),
        ("bartscore", set(ANSWERS)),
    ):
        read.clear()
        with OverGolds(build(name, **settings_of[name])).open() as over:
            over.score(ANSWERS, GOLDS)
        assert read == Counter(dict.fromkeys(wanted, 1)), name
