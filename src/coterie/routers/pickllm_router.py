"""What PickLLM knows after its lessons: a fitted router, and what a journal is folded into."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.automata import Automaton, QLearning, RewardInaction
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.learning import Unreadable
from coterie.routers.pickllm_rules import PickRules
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
"""Of the entries in the journal."""


class PickLLMRouter:
    """Says the same of every query: which member has been worth asking so far (2412.12170)."""

    kind = "pickllm"
    scale = Scale.SCORE
    reads: Reads = "nothing"

    def __init__(
        self, rules: PickRules, members: Sequence[str] = (), learned: Mapping[str, Json] | None = None
    ) -> None:
        self.members = tuple(members)
        """Those it was fitted to."""
        self._rules = rules
        self._automaton = _automaton(rules, learned or {})
        self._lessons = 0
        self._unrewarded = 0
        """Lessons whose reward hangs on what is unknown."""

    def learn(self, member: str, accuracy: float, cost_usd: float | None, latency_s: float | None) -> bool:
        """Afterwards an answer of `member` is learned from; false where its reward is unknown, so that nothing is.

        L_R-I takes rewards in [0, 1]: R as a share of the highest that accuracy alone can earn, cut off at both
        ends. So an answer that costs more than it is worth teaches nothing, and a bonus no more than a perfect one.
        """
        rules = self._rules
        reward = rules.rewarded(accuracy, cost_usd, latency_s)
        if reward is None:
            self._unrewarded += 1
            return False
        share = rules.rule == "reward_inaction"
        self._automaton.learn(member, reward / rules.accuracy_weight if share else reward)
        self._lessons += 1
        return True

    def apply(self, entry: Json) -> None:
        """As `Folding`: learn what an entry of the journal says."""
        if (
            not isinstance(entry, Mapping)
            or entry.get("version") != VERSION
            or not isinstance(entry.get("member"), str)
        ):
            raise Unreadable(f"{entry!r:.80} is no lesson of this version")
        accuracy, *spent = (_number(entry.get(name)) for name in ("accuracy", "cost_usd", "latency_s"))
        if accuracy is None:
            raise Unreadable(f"{entry!r:.80} does not say how good an answer was")
        self.learn(entry["member"], accuracy, *spent)

    def forecast(self, queries: Queries, members: Sequence[str] | None = None) -> Forecast:
        """Probabilities or expected rewards of `members` (by default those it was fitted to), for all queries alike."""
        import numpy as np

        values = self._automaton.values(self.members if members is None else members)
        return Forecast(
            np.tile(np.array(values, dtype=np.float64), (len(queries), 1)), basis=(self._basis(),) * len(queries)
        )

    def _basis(self) -> str:
        told = f"{self._lessons} lessons heard"
        return f"{told}; of {self._unrewarded} more the cost or latency is unknown" if self._unrewarded else told

    def settings(self) -> Mapping[str, Json]:
        return {"rules": asdict(self._rules), "learned": self._automaton.to_json()}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def begin(self, rules: PickRules) -> Self:
        """The same knowledge under other rules. Raises `ConfigError` where the rule of learning is another one."""
        if rules.rule != self._rules.rule:
            raise ConfigError(f"what {self._rules.rule!r} has learned means nothing to {rules.rule!r}")
        return type(self)(rules, self.members, self._automaton.to_json())

    @classmethod
    def load(cls, kept: Kept) -> Self:
        """The router that was saved. Raises `ConfigError` for what it did not save itself."""
        try:
            return cls(PickRules(**kept.settings["rules"]), kept.members, kept.settings["learned"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"this is no {cls.kind} router that was saved: {error!r}") from error


def _automaton(rules: PickRules, learned: Mapping[str, Json]) -> Automaton:
    """Raises `TypeError` for what none has learned."""
    if rules.rule == "reward_inaction":
        return RewardInaction(rules.step, rules.stop, **learned)
    return QLearning(rules.step, rules.initial, **learned)


def _number(value: Json) -> float | None:
    """A finite number, ``None`` for unknown. Raises `Unreadable` for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{value!r:.80} is no number")
    return float(value)
