"""How good a candidate is, as training sees it: a number for each metric, out of what its example says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coterie.examples import Example

WEIGHTS: Mapping[str, float] = {"bleu": 0.01, "bleu4": 0.01, "cider": 0.01, "spice": 0.01}
"""Metrics that are counted in per cent, brought to the scale of the others, as LLM-Blender does; others weigh 1."""

COMPARISONS = "comparisons"
"""The metric that stands in no `scores`: what a candidate has won over the others in the example's comparisons."""

Quality = tuple[float, ...]
"""By task, in the order of the metrics; more is better."""


def qualities(example: Example, metrics: Sequence[str]) -> list[Quality | None]:
    """Of each candidate its weighted scores in the order of `metrics`; ``None`` where one of them is missing."""
    won = _won(example) if COMPARISONS in metrics else [None] * len(example.candidates)
    return [
        _quality({**text.scores, COMPARISONS: of}, metrics) for text, of in zip(example.candidates, won, strict=True)
    ]


def _quality(scores: Mapping[str, float | None], metrics: Sequence[str]) -> Quality | None:
    found = [scores.get(metric) for metric in metrics]
    known = [
        value * WEIGHTS.get(metric, 1.0) for metric, value in zip(metrics, found, strict=True) if value is not None
    ]
    return tuple(known) if len(known) == len(metrics) else None


def _won(example: Example) -> list[float | None]:
    """Wins less losses, by 2306.02561's GPT-Rank; ``None`` for a candidate that was never compared."""
    from coterie.evaluation.labels import comparison_table, max_logits_scores

    compared = {place for said in example.comparisons for place in (said.a, said.b)}
    won = max_logits_scores(comparison_table(example.comparisons, len(example.candidates)))
    return [score if place in compared else None for place, score in enumerate(won)]


def mean(quality: Quality) -> float:
    """What orders candidates where one number is wanted: the mean over the tasks."""
    return sum(quality) / len(quality)
