"""What teaches a transformer to route, whichever router it is for: fields of the recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coterie.errors import ConfigError
from coterie.routers.reading import Keep
from coterie.training.settings import Optimizer, check_amounts, check_counts, check_shares

Precision = Literal["auto", "float32", "bfloat16"]

MINILM = "all-minilm-l6-v2"
"""The encoder of the catalogue."""


@dataclass(frozen=True)
class TextTraining:
    """What the recipes that fine-tune a transformer have in common."""

    base: str = MINILM
    """A model of the catalogue, or the folder or hub name of one, to start from."""
    max_tokens: int = 512
    """Of a query, at most, with what the tokenizer puts around it."""
    keep: Keep = "start"
    """Which end of a query that is too long is read."""
    epochs: int = 3
    """Passes over the data, at most."""
    max_updates: int | None = None
    """Updates in all, at most; left out, as many as the epochs have."""
    learning_rate: float = 3e-5
    """At its highest; after the warm-up it falls linearly to 0."""
    warm_up: float = 0.0
    """Share of the updates in which the learning rate rises."""
    optimizer: Optimizer = "adamw"
    """AdamW (betas 0.9 and 0.999, eps 1e-8), or Adafactor without relative steps."""
    weight_decay: float = 0.01
    """Of all weights but biases and norms."""
    clip_norm: float = 0.0
    """Greatest norm of a gradient; 0 for no limit."""
    batch: int = 8
    """Rows that are read at once."""
    accumulate: int = 1
    """Batches in an update."""
    drop_out: float | None = None
    """In the head; left out, as the base has it."""
    precision: Precision = "auto"
    """`auto` is bfloat16 on a GPU that has it and float32 elsewhere; weights stay in float32."""
    held_back: float = 0.1
    """Share of the prompts that are measured and not learned from; the weights with the least loss on them are kept."""
    evaluate_every: int | None = None
    """Updates between measurements of what is held back; left out, one epoch."""
    patience: int | None = None
    """Stop after so many measurements without a new best."""
    seed: int = 42
    """Of the head's weights, the order, drop-out, and who is held back."""

    def __post_init__(self) -> None:
        check_counts(self, "max_tokens", "epochs", "batch", "accumulate")
        for name in ("max_updates", "evaluate_every", "patience"):
            if getattr(self, name) is not None:
                check_counts(self, name)
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is above 0, not {self.learning_rate!r}")
        if not 0 < self.held_back < 1:
            raise ConfigError(f"held_back lies above 0 and below 1, not at {self.held_back!r}")
        if self.keep not in ("start", "end"):
            raise ConfigError(f"keep is 'start' or 'end', not {self.keep!r}")
        check_shares(self, "warm_up")
        check_amounts(self, "weight_decay", "clip_norm")
        if self.drop_out is not None:
            check_shares(self, "drop_out")
