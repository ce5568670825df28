"""Likelihood: how likely a language model finds the reference after it has read the hypothesis.

What a fused text gains over the candidates shows as the difference of their likelihoods; the likelihood of an
empty hypothesis is the reference's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coterie.evaluation.metrics.loading import IGNORED, Reader, Weights, in_batches, mean_log_probs
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened


@dataclass(frozen=True)
class Likelihood(Weights):
    """Mean log-probability (nats, at most 0) of the reference's tokens, given source and hypothesis as a prompt.

    The prompt is the source, where there is one, and the hypothesis, each followed by `join`, as plain text:
    no chat template. It begins with the special token that the tokenizer puts there, if it does. The mean is
    over the reference's own tokens, with neither a beginning nor an end of text. A first token before which
    there is nothing has no probability and is left out. Likelihoods by different models cannot be compared.
    """

    model: str
    """A folder or a hub name of a decoder-only model."""
    name: str = "likelihood"
    join: str = "\n"
    prompt_tokens: int = 1024
    """Of source and hypothesis; of a longer prompt its end is read. A small model's window may hold less."""
    reference_tokens: int = 1024
    """Of the reference; of a longer one its beginning is read, which is at most half a window."""

    def __post_init__(self) -> None:
        if min(self.prompt_tokens, self.reference_tokens) < 1:
            raise ValueError("prompt_tokens and reference_tokens are at least 1")

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _Likelihood(self))


@dataclass(frozen=True)
class _Row:
    prompt: list[int]
    reference: list[int]

    @property
    def ids(self) -> list[int]:
        return [*self.prompt, *self.reference]

    @property
    def predicted(self) -> bool:
        """True when at least one token of the reference has something before it."""
        return len(self.ids) > 1 and bool(self.reference)

    @property
    def targets(self) -> list[int]:
        """What each position predicts, as far as it is the reference."""
        before = [IGNORED] * len(self.prompt)
        return [*(before + self.reference)[1:], IGNORED]


class _Likelihood:
    def __init__(self, spec: Likelihood) -> None:
        self._network = spec.load("AutoModelForCausalLM")
        self._join = spec.join
        self._tokenizer = self._network.tokenizer
        begins = self._tokenizer.bos_token_id
        self._beginning = [begins] if begins in self._tokenizer("")["input_ids"] else []
        room = self._network.max_tokens or spec.prompt_tokens + 2 * spec.reference_tokens
        reference = min(spec.reference_tokens, room // 2)
        prompt = min(spec.prompt_tokens, room - reference - 1)
        self._prompts = Reader(self._tokenizer, prompt, f"{spec.name} (of prompts)")
        self._references = Reader(self._tokenizer, reference, f"{spec.name} (of references)")

    @property
    def cut(self) -> int:
        return self._prompts.cut + self._references.cut

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        rows = [self._row(pair) for pair in pairs]
        predicted = [row for row in rows if row.predicted]
        means = iter(in_batches(predicted, lambda row: len(row.ids), self._network.budget_tokens, self._forward))
        return [next(means) if row.predicted else None for row in rows]

    def _row(self, pair: Pair) -> _Row:
        prompt = "".join(text + self._join for text in (pair.source, pair.hypothesis) if text.strip())
        read = self._prompts.plain(prompt, keep="end")
        return _Row([*self._beginning, *read], self._references.plain(pair.reference, keep="start"))

    def _forward(self, rows: Sequence[_Row]) -> list[float]:
        import torch

        ids, attended = self._network.padded([row.ids for row in rows])
        targets, _ = self._network.padded([row.targets for row in rows], fill=IGNORED)
        with torch.inference_mode():
            logits = self._network.model(input_ids=ids, attention_mask=attended, use_cache=False).logits
            return mean_log_probs(logits, targets)
