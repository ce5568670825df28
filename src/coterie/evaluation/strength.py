"""How strong models are by the labels, whatever the prompt: what a judge must know more than."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from coterie.examples import Example
from coterie.ranking.strength import field_strengths


def strengths(examples: Iterable[Example]) -> dict[str, float]:
    """Bradley-Terry strength (natural logarithm, mean 0) of every model that labels speak of, ties being half a win.

    Each model also draws once against one of mean strength, so that one that won or lost everything has a
    finite strength.
    """
    wins: dict[str, float] = defaultdict(lambda: 0.5)
    met: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for example in examples:
        for said in example.comparisons:
            a, b = example.candidates[said.a].model, example.candidates[said.b].model
            if a == b:
                continue
            for_a = {"a": 1.0, "b": 0.0}.get(said.verdict, 0.5)
            wins[a] += for_a
            wins[b] += 1 - for_a
            met[a][b] += 1
            met[b][a] += 1
    return field_strengths(wins, met)
