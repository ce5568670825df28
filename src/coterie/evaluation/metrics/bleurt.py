"""BLEURT (2004.04696): a network trained on human ratings says how well a text conveys a reference.

Google's own package runs on TensorFlow and is not on PyPI; the port there, ``bleurt-pytorch``, cannot be
imported under transformers 5. The checkpoints of the BERT architecture, the paper's among them, were also
published as plain sequence classifiers of transformers, and that is what is read here, without another package.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coterie.errors import ConfigError
from coterie.evaluation.metrics.loading import Reader, Weights, in_batches
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened


@dataclass(frozen=True)
class Bleurt(Weights):
    """The network's rating, which has no bounds; more is better.

    The pair is read as ``[CLS] reference [SEP] hypothesis [SEP]``. Where that is too long, the longer of the
    two texts is cut at its end first.
    """

    model: str = "Elron/bleurt-base-128"
    """A folder or a hub name of a sequence classifier with one output. The default is the port of BLEURT's
    checkpoint for 128 tokens, which the paper's tables were made with. BLEURT-20 has another layout."""
    name: str = "bleurt"
    max_tokens: int = 128
    """Of both texts together, special tokens included; the default checkpoint was trained with so many."""

    def __post_init__(self) -> None:
        if self.max_tokens < 5:
            raise ValueError(
                f"max_tokens has to hold text beside the special tokens: 5 at least, not {self.max_tokens!r}"
            )

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _Bleurt(self))


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    segments: list[int]


class _Bleurt:
    def __init__(self, spec: Bleurt) -> None:
        self._network = spec.load("AutoModelForSequenceClassification")
        outputs = self._network.model.config.num_labels
        if outputs != 1:
            raise ConfigError(f"{spec.model!r} has {outputs} outputs, and BLEURT one: it is another classifier")
        limit = min(spec.max_tokens, self._network.max_tokens or spec.max_tokens)
        self._reader = Reader(self._network.tokenizer, limit, spec.name)

    @property
    def cut(self) -> int:
        return self._reader.cut

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        rows = [self._row(pair) for pair in pairs]
        return in_batches(rows, lambda row: len(row.ids), self._network.budget_tokens, self._forward)

    def _row(self, pair: Pair) -> _Row:
        # To the tokenizer an empty second text is none, and the pair a single text: a space is a text without tokens.
        read = self._reader.read(pair.reference, pair.hypothesis or " ")
        return _Row(read["input_ids"], read["token_type_ids"])

    def _forward(self, rows: Sequence[_Row]) -> list[float]:
        import torch

        ids, attended = self._network.padded([row.ids for row in rows])
        segments, _ = self._network.padded([row.segments for row in rows], fill=0)
        with torch.inference_mode():
            logits = self._network.model(input_ids=ids, attention_mask=attended, token_type_ids=segments).logits
        ratings: list[float] = logits[:, 0].float().tolist()
        return ratings
