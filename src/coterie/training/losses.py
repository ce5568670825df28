"""What rankers learn by. All losses are computed in float32, whatever the precision of the scores.

Scores and qualities of pairs are [pairs, 2, tasks], the left candidate first; a loss is [pairs], the mean over
the tasks (2306.02561, section 3.2, and the variants of its reference code). Lists are padded: [lists, n, tasks].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, relu

from coterie.training.settings import LossName


@dataclass(frozen=True)
class Target:
    """What is known of the candidates whose scores a loss looks at."""

    quality: Tensor
    """[rows, n, tasks]; infinite for a reference text."""
    present: Tensor | None = None
    """[rows, n], false for padding; left out where there is none."""
    offset: Tensor | None = None
    """[rows], a logit of left over right that is known without reading, added to what the scores say."""
    smoothing: float = 0.0
    """The share of labels taken to be wrong."""


def instructgpt(scores: Tensor, target: Target) -> Tensor:
    """-log sigma(sgn(q_l - q_r) (s_l - s_r)): 2203.02155, equation 1. A tie costs log 2 and has no gradient."""
    margin = scores[:, 0].float() - scores[:, 1].float()
    if target.offset is not None:
        margin = margin + target.offset[:, None].float()
    quality = target.quality.float()
    towards = torch.sign(quality[:, 0] - quality[:, 1]) * margin
    right, wrong = logsigmoid(towards), logsigmoid(-towards)
    return -torch.lerp(right, wrong, target.smoothing).mean(-1)


def bce(scores: Tensor, target: Target) -> Tensor:
    """Half of the cross-entropies of "left is better" by s_l and "right is better" by s_r (2306.02561, section 3.2).

    A tie decides nothing: it costs nothing and has no gradient.
    """
    quality = target.quality.float()
    better = torch.stack((quality[:, 0] > quality[:, 1], quality[:, 1] > quality[:, 0]), dim=1)
    labels = torch.lerp(better.float(), (~better).float(), target.smoothing)
    entropies = binary_cross_entropy_with_logits(scores.float(), labels, reduction="none")
    return (entropies.mean(1) * better.any(1)).mean(-1)


def mse(scores: Tensor, target: Target) -> Tensor:
    """(s_l - q_l)^2 + (s_r - q_r)^2 - 2 (s_l - s_r) (q_l - q_r): both qualities, and their difference once more."""
    said, quality = scores.float(), target.quality.float()
    apart = (said - quality).square().sum(1)
    return (apart - 2 * (said[:, 0] - said[:, 1]) * (quality[:, 0] - quality[:, 1])).mean(-1)


def open_instruct_bce(scores: Tensor, target: Target) -> Tensor:
    """Half of the cross-entropies of each score with its quality, which lies between 0 and 1."""
    return binary_cross_entropy_with_logits(scores.float(), target.quality.float(), reduction="none").mean((1, 2))


def simcls(scores: Tensor, target: Target) -> Tensor:
    """SimCLS' ranking loss, [lists] (2106.01890, section 2), as LLM-Blender's code weighs it.

    The reference text should score above every candidate (mean over the candidates), and of two candidates i
    before j in the order of quality, i should lead by (j - i) / N (sum over the pairs). Qualities are summed over
    the tasks; equal ones are not told apart. Scores are [lists, n, 1].
    """
    said, quality = scores[..., 0].float(), target.quality.float().sum(-1)
    reference = torch.isposinf(quality)
    candidate = _present(target, said) & ~reference
    places = _places(quality, candidate)
    both = candidate[:, :, None] & candidate[:, None, :] & (quality[:, :, None] > quality[:, None, :])
    margins = (places[:, None, :] - places[:, :, None]) / candidate.sum(1).clamp(min=1)[:, None, None]
    trailing = relu(said[:, None, :] - said[:, :, None] + margins)
    return (trailing * both).sum((1, 2)) + _below_reference(said, reference, candidate)


def _places(quality: Tensor, candidate: Tensor) -> Tensor:
    """Each candidate's place in the order of quality, from 0; equal ones in their own order."""
    order = quality.masked_fill(~candidate, -torch.inf).argsort(dim=1, descending=True, stable=True)
    places: Tensor = order.argsort(dim=1)
    return places.float()


def _below_reference(said: Tensor, reference: Tensor, candidate: Tensor) -> Tensor:
    gold = (said * reference).sum(1, keepdim=True)
    above = relu(said - gold) * candidate * reference.any(1, keepdim=True)
    return above.sum(1) / candidate.sum(1).clamp(min=1)


def summareranker(scores: Tensor, target: Target) -> Tensor:
    """Cross-entropy of "is the best by this task", the mean over candidates and tasks, [lists] (2203.06569, section 3).

    All that share the maximum are the best. The mixture's auxiliary loss is the network's own.
    """
    present = _present(target, scores[..., 0])
    quality = target.quality.float().masked_fill(~present[..., None], -torch.inf)
    best = (quality == quality.amax(1, keepdim=True)).float()
    labels = torch.lerp(best, 1 - best, target.smoothing)
    entropies = binary_cross_entropy_with_logits(scores.float(), labels, reduction="none").mean(-1)
    return (entropies * present).sum(1) / present.sum(1).clamp(min=1)


def _present(target: Target, like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool) if target.present is None else target.present


Loss = Callable[[Tensor, Target], Tensor]

PAIR_LOSSES: Mapping[LossName, Loss] = {
    "instructgpt": instructgpt,
    "BCE": bce,
    "MSE": mse,
    "open_instruct_BCE": open_instruct_bce,
}
