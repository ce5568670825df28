"""What a fuser's loss is on prompts that are set aside, beside that of whoever always says the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from coterie.training.fusing_rows import IGNORED, Batches, Row


@dataclass(frozen=True)
class Gauge:
    """Measures models on rows that are set aside, token by token, so that batches do not matter."""

    rows: Sequence[Row]
    batches: Batches
    batch: int
    bfloat16: bool = False
    """Compute in bfloat16 where that is safe, as training does."""

    @property
    def tokens(self) -> int:
        """Targets that are measured."""
        return sum(1 for _ in _targets(self.rows))

    def loss(self, model: Any) -> float:
        """The mean loss of a target token, in nats. Afterwards the model is in the mode it was in."""
        learning = model.training
        model.eval()
        order = sorted(self.rows, key=lambda row: -len(row["input_ids"]))
        total = math.fsum(
            self._surprise(model, order[begin : begin + self.batch]) for begin in range(0, len(order), self.batch)
        )
        model.train(learning)
        return total / self.tokens

    @torch.inference_mode()
    def _surprise(self, model: Any, rows: Sequence[Row]) -> float:
        """The sum of the targets' losses, in nats."""
        device = next(model.parameters()).device
        made = {name: tensor.to(device) for name, tensor in self.batches(rows).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            said = model(**made).logits
        wanted = made["labels"]
        if not model.config.is_encoder_decoder:  # there a position speaks of the next one
            said, wanted = said[:, :-1], wanted[:, 1:]
        there = wanted != IGNORED
        return float(cross_entropy(said[there].float(), wanted[there], reduction="sum"))


def constant_loss(learned: Iterable[Row], held: Sequence[Row], vocabulary: int) -> float:
    """The mean loss (nats) on held-out targets of the learned targets' frequencies, every token seen once more."""
    seen = Counter(_targets(learned))
    total = seen.total() + vocabulary
    wanted = list(_targets(held))
    return math.fsum(math.log(total / (seen[label] + 1)) for label in wanted) / len(wanted)


def _targets(rows: Iterable[Row]) -> Iterable[int]:
    return (label for row in rows for label in row["labels"] if label != IGNORED)
