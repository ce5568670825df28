"""Pure rules that make a ranking out of judgements: no calls, no clock, no randomness.

A rule is a function from judgements and the ids they are over to a `Ranking`. The ids come in pool
order, which breaks every tie and is where ids that nobody spoke of stand among their equals.

Every rule honours `Judgement.weight`: a weight of 0 is no ballot, and equal weights are none at all. A new
rule is a function in a file of its own and a line in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from coterie.errors import ConfigError
from coterie.ranking.borda import borda, normalised_borda
from coterie.ranking.copeland import copeland
from coterie.ranking.decided import decided
from coterie.ranking.mean import mean
from coterie.ranking.pairwise import bradley_terry, max_logits, max_wins, unbeaten
from coterie.ranking.votes import average_vote, majority_vote, majority_vote_max, majority_vote_min
from coterie.types import Judgement, Ranking

Rule = Callable[[Sequence[Judgement], Sequence[str]], Ranking]

RULES: Mapping[str, Rule] = {
    "average_vote": average_vote,
    "borda": borda,
    "bradley_terry": bradley_terry,
    "copeland": copeland,
    "majority_vote": majority_vote,
    "majority_vote_max": majority_vote_max,
    "majority_vote_min": majority_vote_min,
    "max_logits": max_logits,
    "max_wins": max_wins,
    "mean": mean,
    "normalised_borda": normalised_borda,
    "unbeaten": unbeaten,
}


def rule(name: str) -> Rule:
    """The rule of that name. Raises `ConfigError` naming the rules there are."""
    try:
        return RULES[name]
    except KeyError:
        raise ConfigError(f"there is no ranking rule {name!r}; choose one of {', '.join(sorted(RULES))}") from None


__all__ = [
    "RULES",
    "Rule",
    "average_vote",
    "borda",
    "bradley_terry",
    "copeland",
    "decided",
    "majority_vote",
    "majority_vote_max",
    "majority_vote_min",
    "max_logits",
    "max_wins",
    "mean",
    "normalised_borda",
    "rule",
    "unbeaten",
]
