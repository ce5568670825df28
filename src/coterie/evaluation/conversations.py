"""Scores of turns as scores of conversations: the mean over a conversation's turns, then over the conversations.

So "Efficient Blending of Large Language Models" (chapter 5) reports quality: a long conversation weighs as much as a
short one. A conversation's turns are not independent, so conversations are drawn whole by the bootstrap; since the mean
of a conversation is one number, that is `significance`'s bootstrap over those numbers.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from coterie.evaluation.significance import STANDARD, Bootstrap, Difference, Estimate, difference, estimate

Scores = Sequence[float | None]
"""Turn by turn; ``None`` where there is none."""


def by_conversation(scores: Scores, conversations: Sequence[Hashable]) -> dict[Hashable, float | None]:
    """The mean of each conversation's known scores, in the order of the conversations' first turns.

    ``None`` for a conversation of which no turn has a score. Raises `ValueError` where the lengths differ.
    """
    if len(scores) != len(conversations):
        raise ValueError(f"scores and conversations stand turn by turn: {len(scores)} and {len(conversations)} differ")
    turns: dict[Hashable, list[float]] = {}
    for score, conversation in zip(scores, conversations, strict=True):
        known = turns.setdefault(conversation, [])
        if score is not None and not math.isnan(score):
            known.append(score)
    return {conversation: math.fsum(of) / len(of) if of else None for conversation, of in turns.items()}


def conversation_mean(scores: Scores, conversations: Sequence[Hashable], bootstrap: Bootstrap = STANDARD) -> Estimate:
    """The mean over conversations of the mean over their turns, with an interval over conversations.

    `n` and `missing` count conversations: those with a score, and those without.
    """
    return estimate(list(by_conversation(scores, conversations).values()), bootstrap=bootstrap)


def conversation_difference(
    ours: Scores, theirs: Scores, conversations: Sequence[Hashable], bootstrap: Bootstrap = STANDARD
) -> Difference:
    """Our mean over conversations less theirs, both of the turns where both have a score, with an interval.

    Wins, ties and losses count conversations. Raises `ValueError` where the lengths differ.
    """
    first, second = together([ours, theirs])
    means = (by_conversation(scores, conversations) for scores in (first, second))
    a, b = ([*of.values()] for of in means)
    return difference(a, b, bootstrap=bootstrap)


def together(columns: Sequence[Scores]) -> list[list[float | None]]:
    """The columns with every turn left out, as ``None``, on which any of them has no score.

    Raises `ValueError` where the lengths differ.
    """
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"scores to be compared stand turn by turn, and differ in number: {lengths!r}")
    turns = list(zip(*columns, strict=True))
    whole = [all(score is not None and not math.isnan(score) for score in turn) for turn in turns]
    return [[score if kept else None for score, kept in zip(column, whole, strict=True)] for column in columns]
