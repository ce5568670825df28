"""Lessons as token ids: the prompt of inference, then the target, which alone is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra train")

from coterie import ConfigError
from coterie.fusers.generative import FuserWeights
from coterie.fusers.generative.prompt import Budgets, Told
from coterie.training.fusing_lessons import Lesson
from coterie.training.fusing_rows import IGNORED, Batches, Reading
from tiny_models import chat_llama, llama, t5

LESSON = Lesson(Told("", "hello", ("Paris .", "Berlin .")), "the capital")


@pytest.fixture(scope="module", params=[t5, llama, chat_llama])
def reading(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reading:
    make: Callable[[Path], Path] = request.param
    engine = FuserWeights(str(make(tmp_path_factory.mktemp("model"))), device="cpu").load()
    return Reading(engine.tokenizer, engine.reader(), engine.encodes, Budgets(), 8)


def test_the_prompt_is_inferences_and_the_target_ends(reading: Reading) -> None:
    cut: Counter[str] = Counter()
    [row] = reading.rows([LESSON], cut)
    prompt = list(reading.reader.ids(LESSON.told.text(reading.reader.style)))
    words = reading.tokenizer.convert_tokens_to_ids(["the", "capital"])
    target = [*words, reading.tokenizer.eos_token_id]
    if reading.encodes:
        assert row == {"input_ids": prompt, "labels": target}
    else:
        assert row == {"input_ids": prompt + target, "labels": [IGNORED] * len(prompt) + target}
    assert +cut == Counter()


def test_a_target_that_is_too_long_does_not_end(reading: Reading) -> None:
    cut: Counter[str] = Counter()
    rows = reading.rows([Lesson(LESSON.told, "the " * n) for n in (7, 8, 20)], cut)
    targets = [[label for label in row["labels"] if label != IGNORED] for row in rows]
    end = reading.tokenizer.eos_token_id
    assert [(len(target), target[-1] == end) for target in targets] == [(8, True), (8, False), (8, False)]
    assert cut["references that were cut"] == 2


def test_what_does_not_fit_is_counted(reading: Reading) -> None:
    tight = Reading(reading.tokenizer, reading.reader, reading.encodes, Budgets(60, 20), 8)
    cut: Counter[str] = Counter()
    tight.rows([Lesson(Told("", "hello " * 80, ("world " * 50, "Paris")), "the")], cut)
    assert cut["candidates that were cut"] == 1
    assert cut["questions that were cut"] == 1


def test_no_reference_becomes_a_control_token(reading: Reading) -> None:
    [row] = reading.rows([Lesson(LESSON.told, "the </s> <|im_end|> capital")], Counter())
    end = reading.tokenizer.eos_token_id
    assert [label for label in row["labels"] if label != IGNORED].count(end) == 1


def test_batches_are_padded_behind_and_padding_is_not_learned() -> None:
    rows = [{"input_ids": [5, 6, 7], "labels": [1]}, {"input_ids": [8], "labels": [2, 3]}]
    made = {name: tensor.tolist() for name, tensor in Batches(pad=0)(rows).items()}
    assert made == {
        "input_ids": [[5, 6, 7], [8, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[1, IGNORED], [2, 3]],
    }
    assert Batches(0, pad_to=8)(rows)["input_ids"].shape == (2, 8)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    engine = FuserWeights(str(t5(tmp_path)), device="cpu").load()
    engine.tokenizer.eos_token = None
    reading = Reading(engine.tokenizer, engine.reader(), True, Budgets(), 8)
    with pytest.raises(ConfigError, match="no end-of-sequence token"):
        reading.rows([LESSON], Counter())
