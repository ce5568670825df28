"""What an encoder that can be exported is made of, as configurations describe it: BERT, and DeBERTa v2 and v3."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coterie.errors import ConfigError
from coterie.types import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, str], float]] = {
    "gelu": ("Gelu", {}, -0.1701),
    "gelu_new": ("Gelu", {"approximate": "tanh"}, -0.1701),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}, -0.1701),
    "relu": ("Relu", {}, 0.0),
}
"""What configurations call them; the operators; and what no value lies below."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "bert": {"position_biased_input": True, "type_vocab_size": 2, "layer_norm_eps": 1e-12},
    "deberta-v2": {"position_biased_input": True, "type_vocab_size": 0, "layer_norm_eps": 1e-7},
}
"""What the families that can be exported mean where their configurations are silent."""

USUAL = {"conv_kernel_size": 0, "position_embedding_type": "absolute", "is_decoder": False}
"""Nothing but this can be exported."""


class Weights:
    """A checkpoint's arrays by name."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> None:
        self._arrays = arrays
        self._prefix = prefix

    def below(self, name: str) -> Weights:
        """Those of one module, by the rest of their names."""
        return Weights(self._arrays, f"{self._prefix}{name}.")

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One as it is stored. Raises `ConfigError` for one that is not there."""
        found = self._arrays.get(self._prefix + name)
        if found is None:
            raise ConfigError(f"the checkpoint's weights lack {self._prefix + name!r}")
        return found

    def exact(self, name: str) -> NDArray[np.float64]:
        """One in float64, to compute with."""
        return self[name].astype(np.float64)

    def linear(self, name: str, scale: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight and bias of a linear layer, whose outputs are to be scaled."""
        return self.exact(f"{name}.weight") * scale, self.exact(f"{name}.bias") * scale


@dataclass(frozen=True)
class Layout:
    """What an encoder is made of, as far as its graph depends on it."""

    family: str
    layers: int
    heads: int
    width: int
    epsilon: float
    activation: str
    place_embeddings: bool
    type_embeddings: bool
    narrow_embeddings: bool
    """True where words are narrower than states, and projected."""
    shared_projections: bool
    """True where the projections of words serve for relative positions too."""
    position_parts: frozenset[str]
    """Of `c2p` and `p2c`."""

    @classmethod
    def of(cls, encoder: Mapping[str, Json]) -> Layout:
        """As a configuration says. Raises `ConfigError` for an encoder that cannot be exported."""
        family = encoder.get("model_type")
        if family not in DEFAULTS:
            raise ConfigError(f"an encoder of the type {family!r} cannot be exported; {' and '.join(DEFAULTS)} can")
        config: Mapping[str, Any] = {**USUAL, **DEFAULTS[str(family)], "hidden_act": "gelu", **encoder}
        for name, usual in USUAL.items():
            if config[name] != usual:
                raise ConfigError(f"an encoder with {name}={config[name]!r} cannot be exported, only with {usual!r}")
        if config["hidden_act"] not in ACTIVATIONS:
            raise ConfigError(f"hidden_act is one of {', '.join(ACTIVATIONS)}, not {config['hidden_act']!r}")
        width: int = config["hidden_size"]
        return cls(
            family=str(family),
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            width=width,
            epsilon=config["layer_norm_eps"],
            activation=config["hidden_act"],
            place_embeddings=config["position_biased_input"],
            type_embeddings=config["type_vocab_size"] > 0,
            narrow_embeddings=config.get("embedding_size", width) != width,
            shared_projections=config.get("share_att_key", False),
            position_parts=frozenset(config.get("pos_att_type") or ()),
        )

    @property
    def projections(self) -> tuple[str, str, str]:
        """What the family calls its query, key and value."""
        return ("query", "key", "value") if self.family == "bert" else ("query_proj", "key_proj", "value_proj")

    @property
    def scale(self) -> float:
        """Of all scores."""
        return 1 / math.sqrt(self.width // self.heads * (1 + len(self.position_parts)))
