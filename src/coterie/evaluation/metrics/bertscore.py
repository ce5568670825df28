"""BERTScore (1904.09675): how well the tokens of two texts match, as an encoder sees them.

The matching is our own. The package ``bert-score`` is the reference, but its last release is of February
2023: importing it imports matplotlib and pandas, under transformers 5 it fails on an empty text, and it takes
a negative similarity for 0 in whatever text is padded, so that a score depends on the batch. The numbers here
are its numbers where it has one (the tests hold them), its habits included: special tokens have no weight but
can be matched, white space around a text is dropped, tokens are not weighted by their rarity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.metrics.loading import Reader, Weights, in_batches, read_once
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened

if TYPE_CHECKING:
    from torch import Tensor

LAYERS: Mapping[str, int] = {
    "bert-base-multilingual-cased": 9,
    "google-bert/bert-base-multilingual-cased": 9,
    "roberta-large": 17,
    "FacebookAI/roberta-large": 17,
}
"""The layer whose states are compared, for the encoders that are used most: the choice of BERTScore's authors."""


@dataclass(frozen=True)
class BertScore(Weights):
    """F1 of the greedy matching of two texts' tokens, at most 1, without rescaling.

    Each token is matched with the most similar one of the other text, by the cosine of their states at one
    layer of an encoder; precision is the mean over the hypothesis' tokens, recall over the reference's. A
    hypothesis without tokens has the score 0, a reference without tokens ``None``. Scores of different
    encoders cannot be compared.
    """

    model: str = "bert-base-multilingual-cased"
    """A folder or a hub name of an encoder. The default is what the paper's tables were made with."""
    name: str = "bertscore"
    num_layers: int | None = None
    """The layer whose states are compared. For encoders not named in `LAYERS` it must be said."""

    def __post_init__(self) -> None:
        if self.num_layers is not None and self.num_layers < 0:
            raise ValueError(f"num_layers is a layer of the encoder, 0 being its embeddings, not {self.num_layers!r}")

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _BertScore(self))

    @property
    def layers(self) -> int:
        """The layer that is compared. Raises `ConfigError` where nobody said which."""
        layers = LAYERS.get(self.model) if self.num_layers is None else self.num_layers
        if layers is None:
            raise ConfigError(f"say num_layers for {self.model!r}: which of its layers' states BERTScore compares")
        return layers


@dataclass(frozen=True)
class _Seen:
    """A text as the encoder sees it."""

    states: Tensor
    """Unit vectors [tokens, width]."""
    counted: Tensor
    """True for each token that has weight."""


class _BertScore:
    def __init__(self, spec: BertScore) -> None:
        # Layers above the one that is compared are not loaded. Byte-level tokenizers read a text's first word as
        # one inside a sentence: the reference asks for that too, in a way that transformers 5 ignores.
        self._network = spec.load(
            "AutoModel",
            spare=("pooler.",),
            config={"num_hidden_layers": spec.layers},
            tokenizer={"add_prefix_space": True},
        )
        if self._network.model.config.is_encoder_decoder:
            raise ConfigError(f"{spec.model!r} is an encoder and a decoder; BERTScore compares states of an encoder")
        tokenizer = self._network.tokenizer
        self._weightless = {tokenizer.cls_token_id, tokenizer.sep_token_id}
        self._reader = Reader(tokenizer, self._network.max_tokens, spec.name)

    @property
    def cut(self) -> int:
        return self._reader.cut

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        import torch

        texts = [(pair.hypothesis.strip(), pair.reference.strip()) for pair in pairs]
        scores: dict[int, float | None] = {}
        with torch.inference_mode():
            for places, seen in read_once(texts, self._see):
                for place in places:
                    hypothesis, reference = texts[place]
                    scores[place] = _f1(seen[hypothesis], seen[reference])
        return [scores[place] for place in range(len(pairs))]

    def _see(self, texts: Sequence[str]) -> list[_Seen]:
        rows = [self._reader.ids(text) for text in texts]
        return in_batches(rows, len, self._network.budget_tokens, self._forward)

    def _forward(self, rows: Sequence[list[int]]) -> list[_Seen]:
        import torch
        from torch.nn import functional

        ids, attended = self._network.padded(rows)
        states = self._network.model(input_ids=ids, attention_mask=attended).last_hidden_state
        units = functional.normalize(states.float(), dim=-1)
        return [
            # Cloned: a text that is held for long would else hold its whole batch.
            _Seen(units[n, : len(row)].clone(), torch.tensor([token not in self._weightless for token in row]))
            for n, row in enumerate(rows)
        ]


def _f1(hypothesis: _Seen, reference: _Seen) -> float | None:
    if not reference.counted.any():
        return None
    if not hypothesis.counted.any():
        return 0.0
    similar = (hypothesis.states @ reference.states.T).cpu()
    precision = float(similar.amax(1)[hypothesis.counted].mean())
    recall = float(similar.amax(0)[reference.counted].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
