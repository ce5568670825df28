"""A language model as a network of the shared loop: what it would write first, told of the five ratings alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Ratings(nn.Module):
    """Log-probabilities of the ratings' tokens behind each row, among all tokens. Rows are padded before."""

    def __init__(self, model: Any, labels: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self._labels = list(labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[rows, 5]."""
        places = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        out = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=places, use_cache=False, logits_to_keep=1
        )
        logs: Tensor = out.logits[:, -1].float().log_softmax(-1)
        return logs[:, torch.tensor(self._labels, device=logs.device)]


def rating_loss(said: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with the whole vocabulary of the rating that should be written, [rows]."""
    return -(said * target).sum(-1)
