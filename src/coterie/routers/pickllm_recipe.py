"""How PickLLM is warmed up: one session over recorded outcomes."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers.forecast import LearnsFrom, Queries, Reads, Vectors, Watch
from coterie.routers.pickllm_router import PickLLMRouter
from coterie.routers.pickllm_rules import PickRules


@dataclass(frozen=True)
class PickLLMRecipe(PickRules):
    """A session as the paper simulates one: at each prompt a member is chosen, and only its outcome is learned from.

    Prompts come in a random order. Reward inaction draws by its probabilities; Q-learning takes the best, and with
    probability `epsilon` anybody. A prompt on which the score of the one who was chosen is unknown teaches nothing.
    """

    kind: ClassVar[str] = "pickllm"
    reads: ClassVar[Reads] = "nothing"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    epsilon: float = 0.1
    seed: int = 0

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> PickLLMRouter:  # noqa: ARG002
        """Raises `ConfigError` without outcomes of two members, and where no lesson of the session had a reward."""
        outcomes = lessons.outcomes
        if outcomes is None or len(outcomes.members) < 2:
            raise ConfigError("pickllm is fitted to outcomes of at least two members")
        rules = PickRules(**{rule.name: getattr(self, rule.name) for rule in fields(PickRules)})
        router = PickLLMRouter(rules, outcomes.members)
        rng = random.Random(self.seed)
        order = rng.sample(range(len(outcomes)), len(outcomes))
        learned = 0
        for done, row in enumerate(order, 1):
            learned += _lesson(router, outcomes, row, self._drawn(router, rng))
            watch("prompts", done, len(outcomes))
        if not learned:
            raise ConfigError(
                "pickllm has learned nothing: of no prompt the score, and whatever else its reward depends on "
                "(cost_usd; latency, which outcomes do not have), is known of the member that was chosen"
            )
        return router

    def _drawn(self, router: PickLLMRouter, rng: random.Random) -> int:
        values = router.forecast(Queries(("",))).quality[0].tolist()
        places = range(len(values))
        if self.rule == "reward_inaction":
            return rng.choices(places, values)[0]
        best = [place for place in places if values[place] == max(values)]
        return rng.choice(places) if rng.random() < self.epsilon else rng.choice(best)


def _lesson(router: PickLLMRouter, outcomes: Outcomes, row: int, place: int) -> bool:
    """Learn from one outcome; false where its reward is unknown."""
    score, cost = float(outcomes.scores[row, place]), float(outcomes.costs_usd[row, place])
    if not np.isfinite(score):
        return False
    return router.learn(outcomes.members[place], score, cost if np.isfinite(cost) else None, None)
