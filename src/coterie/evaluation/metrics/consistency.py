"""How consistent answers are with what they were to be drawn from, by AlignScore or another metric of its kind.

The thesis ("Efficient Blending of Large Language Models", chapter 5) computes the consistency of an answer with its
context. Some of its data sets have none: questions asked without a passage. There the main gold answer, the first,
takes the context's place, which is another measurement: whether the answer says more than the gold answer does. So it
has a column of its own, and no mean is ever taken over both.
"""

from __future__ import annotations

from collections.abc import Sequence

from coterie.evaluation.metrics.metric import OpenMetric

PASSAGE = "passage"
GOLD = "gold"


def consistency(
    metric: OpenMetric, answers: Sequence[str], passages: Sequence[str], golds: Sequence[Sequence[str]]
) -> dict[str, list[float | None]]:
    """The scores of the answers under ``NAME:passage`` and ``NAME:gold``, a column only where it has a place.

    Each column has a place for each answer, ``None`` where it says nothing: an answer with a passage is held against
    that alone. One without a passage or any gold answer is in neither. Raises `ValueError` where lengths differ.
    """
    lengths = [len(answers), len(passages), len(golds)]
    if len(set(lengths)) > 1:
        raise ValueError(f"answers, passages and golds differ in length: {lengths!r}")
    contexts = [
        (PASSAGE, passage) if passage.strip() else (GOLD, next((gold for gold in of if gold.strip()), ""))
        for passage, of in zip(passages, golds, strict=True)
    ]
    scores = metric.score(answers, [context for _, context in contexts])
    there = dict.fromkeys(kind for kind, context in contexts if context.strip())
    return {
        f"{metric.name}:{kind}": [
            score if of == kind else None for score, (of, _) in zip(scores, contexts, strict=True)
        ]
        for kind in sorted(there, reverse=True)
    }
