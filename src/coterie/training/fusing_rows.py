"""Lessons as rows of token ids: the very prompt that inference makes, then the target and its end.

The reference code ended its prompts with ``</s>`` in training and without it at inference; here both are
made by one function, which ends them without. The loss is on the target alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from coterie.errors import ConfigError
from coterie.fusers.generative.prompt import Budgets, Reader, build
from coterie.fusers.generative.reading import PlainReading, end_of
from coterie.training.fusing_lessons import Lesson

IGNORED = -100
"""The label of what is not to be learned."""

Row = dict[str, list[int]]
"""`input_ids`, and `labels`: for an encoder-decoder the target alone, else as many as there are ids."""


@dataclass(frozen=True)
class Reading:
    """How lessons are read by one model."""

    tokenizer: Any
    reader: Reader
    encodes: bool
    """True for an encoder-decoder."""
    budgets: Budgets
    target_tokens: int

    def rows(self, lessons: Iterable[Lesson], cut: Counter[str]) -> list[Row]:
        """A row for each lesson; `cut` counts what did not fit."""
        return [self._row(lesson, cut) for lesson in lessons]

    def _row(self, lesson: Lesson, cut: Counter[str]) -> Row:
        prompt = build(self.reader, lesson.told, self.budgets)
        target = self._target(lesson.target, cut)
        cut["candidates that were cut"] += prompt.candidates_cut
        cut["candidates that were left out"] += prompt.candidates_left_out
        cut["questions that were cut"] += prompt.input_cut
        ids = list(prompt.ids)
        if self.encodes:
            return {"input_ids": ids, "labels": target}
        return {"input_ids": ids + target, "labels": [IGNORED] * len(ids) + target}

    def _target(self, text: str, cut: Counter[str]) -> list[int]:
        """The ids of what is to be written, and of its end; of what is too long a beginning that does not end."""
        ids = list(self._words(text.strip()))
        if len(ids) < self.target_tokens:
            return [*ids, self._end]
        cut["references that were cut"] += 1
        return ids[: self.target_tokens]

    @cached_property
    def _words(self) -> PlainReading:
        return PlainReading(self.tokenizer)

    @cached_property
    def _end(self) -> int:
        end = end_of(self.tokenizer, self.reader.style)
        if end is None:
            raise ConfigError("the tokenizer knows no end-of-sequence token, so the model could not learn to stop")
        return end


@dataclass(frozen=True)
class Batches:
    """Rows as tensors: ids, attention mask and labels, each [rows, width], padded behind."""

    pad: int
    pad_to: int = 1

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        import torch

        ids, attended = self._padded([row["input_ids"] for row in rows], self.pad)
        labels, _ = self._padded([row["labels"] for row in rows], IGNORED)
        return {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.tensor(attended),
            "labels": torch.tensor(labels),
        }

    def _padded(self, rows: Sequence[Sequence[int]], fill: int) -> tuple[list[list[int]], list[list[int]]]:
        width = -(-max(map(len, rows)) // self.pad_to) * self.pad_to
        padded = [[*row, *[fill] * (width - len(row))] for row in rows]
        return padded, [[1] * len(row) + [0] * (width - len(row)) for row in rows]
