"""BARTScore (2106.11520): how likely BART finds the reference after it has read the hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError
from coterie.evaluation.metrics.loading import IGNORED, Reader, Weights, in_batches, mean_log_probs, read_once
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BartScore(Weights):
    """Mean log-probability (nats, below 0) of the reference's tokens given the hypothesis: score(h -> r).

    The hypothesis goes to the encoder with its special tokens. The mean is over every token of the reference
    as the tokenizer makes it, the opening ``<s>`` and the closing ``</s>`` included: the sum is divided by all
    of them, as in the authors' code. Each is predicted from those before it, the first from the decoder's
    start token. An empty hypothesis is an empty source, and has a score.
    """

    model: str = "facebook/bart-large-cnn"
    """A folder or a hub name of an encoder-decoder."""
    name: str = "bartscore"
    weights: str | None = None
    """A file of weights instead of the model's own: the authors' ``bart_score.pth``, trained on ParaBank 2."""
    max_tokens: int = 1024
    """Of each text, special tokens included; what is longer is cut at its end."""

    def __post_init__(self) -> None:
        if self.max_tokens < 3:
            raise ValueError(
                f"max_tokens has to hold text beside the special tokens: 3 at least, not {self.max_tokens!r}"
            )

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _BartScore(self))


@dataclass(frozen=True)
class _Row:
    heard: Tensor
    """The encoder's states of the hypothesis, [tokens, width]."""
    target: list[int]


class _BartScore:
    def __init__(self, spec: BartScore) -> None:
        self._network = spec.load("AutoModelForSeq2SeqLM", spare=("final_logits_bias",))
        if spec.weights is not None:
            replace_weights(self._network.model, Path(spec.weights).expanduser())
        limit = min(spec.max_tokens, self._network.max_tokens or spec.max_tokens)
        self._reader = Reader(self._network.tokenizer, limit, spec.name)
        self._start = int(self._network.model.config.decoder_start_token_id)

    @property
    def cut(self) -> int:
        return self._reader.cut

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        import torch

        scores: dict[int, float] = {}
        with torch.inference_mode():
            # The encoder reads a hypothesis once, however many references it is held against.
            for places, heard in read_once([(pair.hypothesis,) for pair in pairs], self._hear):
                rows = [
                    _Row(heard[pairs[place].hypothesis], self._reader.ids(pairs[place].reference)) for place in places
                ]
                found = in_batches(rows, _width, self._network.budget_tokens, self._forward)
                scores.update(zip(places, found, strict=True))
        return [scores[place] for place in range(len(pairs))]

    def _hear(self, texts: Sequence[str]) -> list[Tensor]:
        rows = [self._reader.ids(text) for text in texts]
        return in_batches(rows, len, self._network.budget_tokens, self._encode)

    def _encode(self, rows: Sequence[list[int]]) -> list[Tensor]:
        source, attended = self._network.padded(rows)
        encoder = self._network.model.get_encoder()
        states = encoder(input_ids=source, attention_mask=attended).last_hidden_state
        return [states[n, : len(row)].clone() for n, row in enumerate(rows)]

    def _forward(self, rows: Sequence[_Row]) -> list[float]:
        from torch.nn.utils.rnn import pad_sequence
        from transformers.modeling_outputs import BaseModelOutput

        _, attended = self._network.padded([[1] * len(row.heard) for row in rows])
        given, _ = self._network.padded([[self._start, *row.target[:-1]] for row in rows])
        targets, _ = self._network.padded([row.target for row in rows], fill=IGNORED)
        logits = self._network.model(
            encoder_outputs=BaseModelOutput(pad_sequence([row.heard for row in rows], batch_first=True)),
            attention_mask=attended,
            decoder_input_ids=given,
            use_cache=False,
        ).logits
        return mean_log_probs(logits, targets)


def _width(row: _Row) -> int:
    return len(row.heard) + len(row.target)


def replace_weights(model: Any, file: Path) -> None:
    """Afterwards `model` has the weights in `file`, a state dict of its parameters by name, on whichever device.

    Raises `ConfigError` for a file that cannot be read, or whose names are not the model's.
    """
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        absent, unknown = model.load_state_dict(state, strict=False)
    except Exception as error:  # a file can be wrong in many ways, and each has its own exception
        raise ConfigError(f"{str(file)!r} cannot be loaded as weights of the metric's model: {error}") from error
    own = model.state_dict(keep_vars=True)
    loaded = {own[name].data_ptr() for name in state if name in own}
    # One matrix has several names in BART, and files differ in which of them they write.
    absent = [name for name in absent if own[name].data_ptr() not in loaded and name != "final_logits_bias"]
    if absent or unknown:
        raise ConfigError(f"{str(file)!r} is of another model: it lacks {absent[:3]!r} and adds {list(unknown)[:3]!r}")
