"""How strong models are by the labels, whatever the prompt: what a judge must know more than."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from coterie.examples import Example

SETTLED = 1e-9

MOST_STEPS = 10_000


def strengths(examples: Iterable[Example]) -> dict[str, float]:
    """Bradley-Terry strength (natural logarithm, mean 0) of every model that labels speak of, ties being half a win.

    Each model also draws once against one of mean strength, so that one that won or lost everything has a
    finite strength. Fitted by Hunter's minorisation-maximisation (2004) to 1e-9.
    """
    wins: dict[str, float] = defaultdict(lambda: 0.5)
    met: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
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
    return _fitted(wins, met)


def _fitted(wins: Mapping[str, float], met: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    gamma = dict.fromkeys(met, 1.0)
    for _ in range(MOST_STEPS if gamma else 0):
        fresh = {
            i: wins[i] / (1 / (gamma[i] + 1) + math.fsum(n / (gamma[i] + gamma[j]) for j, n in met[i].items()))
            for i in gamma
        }
        step = max(abs(math.log(fresh[i] / gamma[i])) for i in gamma)
        gamma = fresh
        if step < SETTLED:
            break
    centre = math.fsum(map(math.log, gamma.values())) / max(1, len(gamma))
    return {model: math.log(value) - centre for model, value in gamma.items()}
