"""AlignScore's network: an encoder, whose pooled state three linear heads read (2305.16739, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coterie.errors import ConfigError, MissingWeights
from coterie.evaluation.metrics.alignscore_weights import find, state_of
from coterie.evaluation.metrics.loading import padded
from coterie.judges.placement import Placement
from coterie.judges.pretrained import Words, most_tokens
from coterie.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from coterie.evaluation.metrics.alignscore import AlignScore, Row

WIDTHS = {768: "roberta-base", 1024: "roberta-large"}
"""The published checkpoints' encoders, by the width of their weights."""

ALIGNED = {"nli": 0, "bin": 1}
"""The class that means consistent, by head."""


class AlignNetwork(nn.Module):
    """The network under the names of the published checkpoints. Their masked-language head is not part of it."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        from transformers import AutoModel

        build: Any = AutoModel.from_config
        self.base_model: Any = build(config)
        width = int(config.hidden_size)
        self.bin_layer = nn.Linear(width, 2)
        self.tri_layer = nn.Linear(width, 3)
        self.reg_layer = nn.Linear(width, 1)

    def forward(self, ids: Tensor, attended: Tensor, head: str) -> Tensor:
        """The score of each row, [rows], by one head, of ids and attention mask [rows, width]."""
        pooled = self.base_model(input_ids=ids, attention_mask=attended).pooler_output
        if head == "reg":
            ratings: Tensor = self.reg_layer(pooled)[:, 0]
            return ratings
        logits: Tensor = (self.tri_layer if head == "nli" else self.bin_layer)(pooled)
        return logits.float().softmax(-1)[:, ALIGNED[head]]


class Aligner:
    """A loaded network with its tokenizer: rows of ids become scores."""

    def __init__(self, network: AlignNetwork, words: Words, head: str, place: Placement) -> None:
        self.words = words
        self._network = network
        self._head = head
        self._device = place.device
        self._frame = words.frame(2)
        self._padding = int(network.base_model.config.pad_token_id or 0)
        self.longest = most_tokens(network.base_model, place) or 512
        """Tokens of a row."""
        self.room = self.longest - len(self._frame)
        """Of these, for the two texts."""

    def width(self, row: Row) -> int:
        """Tokens of the row."""
        return len(self._frame) + len(row.chunk) + len(row.sentence)

    def __call__(self, rows: Sequence[Row]) -> list[float]:
        frame = self._frame
        whole = [(*frame.before, *row.chunk, *frame.between, *row.sentence, *frame.after) for row in rows]
        ids, attended = padded(whole, self._padding, self._device)
        with torch.inference_mode():
            scores: list[float] = self._network(ids, attended, self._head).float().tolist()
        return scores


def load(spec: AlignScore, device: str) -> Aligner:
    """The network with the checkpoint's weights, ready to infer.

    Raises `MissingWeights` where there is no checkpoint, or nothing to read the encoder's configuration or its
    tokenizer from, and `ConfigError` for a checkpoint that is of another layout or cannot be read safely.
    """
    file = find(spec.model, spec.file, spec.cache_folder)
    state = state_of(file)
    encoder = spec.encoder or _encoder_of(file, state)
    config = _config(encoder, spec.cache_folder)
    network = AlignNetwork(config)
    try:
        absent, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise ConfigError(f"{str(file)!r} does not fit the encoder {encoder!r}: {error}") from error
    if absent or unknown:
        raise ConfigError(
            f"{str(file)!r} is no AlignScore with the encoder {encoder!r}: "
            f"it lacks {absent[:3]!r} and adds {list(unknown)[:3]!r}"
        )
    dtype: torch.dtype = getattr(torch, spec.precision)
    words = Words(encoder, spec.cache_folder)
    ready = network.to(device=device, dtype=dtype).eval()
    return Aligner(ready, words, spec.mode.removesuffix("_sp"), Placement(device, dtype, 0, 1))


def _encoder_of(file: Path, state: dict[str, Tensor]) -> str:
    if (file.parent / "config.json").is_file():
        return str(file.parent)
    embeddings = state.get("base_model.embeddings.word_embeddings.weight")
    width = None if embeddings is None else embeddings.shape[-1]
    if width not in WIDTHS:
        raise ConfigError(
            f"{str(file)!r} is no published AlignScore, so its encoder is not known: put its config.json and tokenizer "
            "beside it, or say encoder=..."
        )
    return WIDTHS[width]


def _config(encoder: str, cache_folder: str | None) -> PretrainedConfig:
    from transformers import AutoConfig

    try:
        with quiet():
            config: PretrainedConfig = AutoConfig.from_pretrained(encoder, cache_dir=cache_folder)
    except OSError as error:
        raise MissingWeights(f"the configuration of AlignScore's encoder {encoder!r} cannot be had: {error}") from error
    except Exception as error:  # transformers raises many kinds, none of which it promises
        raise ConfigError(f"the configuration of AlignScore's encoder {encoder!r} cannot be read: {error}") from error
    if config.model_type not in ("roberta", "xlm-roberta"):
        raise ConfigError(f"AlignScore's encoder is RoBERTa, and {encoder!r} is {config.model_type!r}")
    return config
