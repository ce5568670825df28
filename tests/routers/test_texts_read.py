"""How routers read words: rows of ids that are cut at the right end, in batches that fit, whatever a query spells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_rankers
import tiny_readers
from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.against import qualities
from coterie.routers.reading import Reader, batches

pytest.importorskip("torch", reason="these routers need the extra torch")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_rankers.word_pieces(tmp_path_factory.mktemp("words"))


def pieces(tokenizer: Any, row: tuple[int, ...]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(list(row)))


def test_a_text_too_long_is_cut_at_the_end_that_is_not_kept(tokenizer: Any) -> None:
    start, end = (Reader(tokenizer, 6, keep).rows(["a b c d e f g"])[0] for keep in ("start", "end"))
    assert pieces(tokenizer, start) == "[CLS] a b c d [SEP]"
    assert pieces(tokenizer, end) == "[CLS] d e f g [SEP]"


def test_a_prefix_is_kept_whichever_end_is_cut(tokenizer: Any) -> None:
    row = Reader(tokenizer, 8, "end").rows(["d e f g h i"], prefix="<m>")[0]
    assert pieces(tokenizer, row) == "[CLS] < m > g h i [SEP]"


def test_special_pieces_in_a_query_are_plain_text(tokenizer: Any) -> None:
    row = Reader(tokenizer, 30).rows(["a [SEP] b"])[0]
    assert row.count(tokenizer.sep_token_id) == 1
    assert pieces(tokenizer, row) == "[CLS] a [ s ##e ##p ] b [SEP]"


def test_an_empty_text_and_one_without_end_are_read(tokenizer: Any) -> None:
    reader = Reader(tokenizer, 8)
    assert pieces(tokenizer, reader.rows([""])[0]) == "[CLS] [SEP]"
    assert len(reader.rows(["a " * 1_000_000])[0]) == 8


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_batches_hold_every_row_once_and_fit_the_budget(lengths: list[int], budget: int) -> None:
    made = batches(lengths, budget)
    assert sorted(n for batch in made for n in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[n] for n in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


def test_batches_do_not_change_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coterie.routers import classifier

    read = classifier.TextClassifier.load(tiny_readers.classifier(tmp_path, 2), 2, 512)
    rows = read.reader.rows([*tiny_readers.queries(9), "", "a " * 200])
    together = read.logits(rows)
    alone = np.concatenate([read.logits([row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert max(map(len, rows)) == 48  # as many places as the model tells apart
    assert read.logits([]).shape == (0, 2)


def test_a_folder_with_other_labels_or_without_a_model_is_refused(tmp_path: Path) -> None:
    from coterie.routers.classifier import TextClassifier

    with pytest.raises(ConfigError, match="has 2 labels, and 3 are needed"):
        TextClassifier.load(tiny_readers.classifier(tmp_path / "two", 2), 3, 512)
    with pytest.raises(ConfigError, match="is no classifier"):
        TextClassifier.load(tiny_readers.encoder(tmp_path / "none"), 2, 512)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TextClassifier.load(str(tmp_path), 2, 512)


# ---- members compared with one --------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.data())
def test_the_preference_of_the_reference_is_one_less_the_others_chance(chances: list[float], data: Any) -> None:
    reference = data.draw(st.integers(0, len(chances)))
    found = qualities(np.array([chances]), reference)[0]
    others = np.delete(found, reference)
    for quality, chance in zip(others, chances, strict=True):
        assert Scale.SCORE.preference(float(found[reference]), float(quality)) == pytest.approx(1 - chance)


def test_of_two_members_one_has_the_chance_and_one_what_is_left() -> None:
    np.testing.assert_allclose(qualities(np.array([[0.8], [0.3]]), 1), [[0.8, 0.2], [0.3, 0.7]])
