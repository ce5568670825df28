"""A BERT on disk as a sentence encoder: what it is made of, and what computes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from coterie.encoders.tensors import Tensors
from coterie.errors import ConfigError
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES = ("config.json", "model.safetensors", "tokenizer.json")

USUAL: Mapping[str, Json] = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
"""Nothing but this can be read."""


class Forward(Protocol):
    """What computes the mean of a text's last states."""

    def __call__(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """One vector a row of token ids, (rows, width). No row is empty."""
        ...


@dataclass(frozen=True)
class Layout:
    """What the network is made of."""

    layers: int
    heads: int
    width: int
    places: int
    """Tokens that a text may have."""
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, Json]) -> Layout:
        """As a configuration says. Raises `ValueError` for a network that is no BERT as it was published."""
        for name, usual in USUAL.items():
            if config.get(name, usual) != usual:
                raise ValueError(f"{name} is {config[name]!r}, and only {usual!r} can be read")
        return cls(
            int(config["num_hidden_layers"]),
            int(config["num_attention_heads"]),
            int(config["hidden_size"]),
            int(config["max_position_embeddings"]),
            float(config["layer_norm_eps"]),
        )


class Checkpoint:
    """A folder with `FILES`. Raises `ConfigError` where one is not what it should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self.config: Mapping[str, Json] = config
            self.layout = Layout.of(config)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{str(folder)!r} holds no BERT that can be read: {error!r}") from error
        self.tensors = Tensors(folder / "model.safetensors")
