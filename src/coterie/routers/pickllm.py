"""PickLLM: which member is worth asking, learned from what is heard, whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from coterie.prospects import Lesson, Prospects, Scale
from coterie.protocols import Opens, Run
from coterie.routers.forecast import Queries
from coterie.routers.foretold import prospects
from coterie.routers.learning import Fold, journal
from coterie.routers.pickllm_router import VERSION, PickLLMRouter
from coterie.routers.pickllm_rules import PickRules
from coterie.routers.rewards import rewards
from coterie.routers.starting import started, with_spending
from coterie.types import Json, Request


@dataclass(frozen=True)
class PickLLM(PickRules):
    """Expects of each member what it has earned so far, on whatever was asked (2412.12170). It reads no query.

    Take it with the decision `sample` for reward inaction, `explore` for Q-learning; with `best` nobody else is ever
    tried. A learner is about one context, as a session is in the paper: give each its `name`. Costs: reading the
    journal, and microseconds.
    """

    start: str | None = None
    """The folder of a `pickllm` artifact to begin with; left out, all members are alike at first."""
    name: str = ""
    """Learners of one name learn together, and keep what they know when another setting changes. Without a name equal
    ones do, and another setting begins anew."""
    fresh_s: float = 0.0
    """How old what it knows may be, in seconds; 0 reads the journal before each decision."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fresh_s >= 0:
            raise ValueError(f"fresh_s is 0 or more, not {self.fresh_s!r}")

    @property
    def rules(self) -> PickRules:
        """How it rewards and learns."""
        return PickRules(**{rule.name: getattr(self, rule.name) for rule in fields(PickRules)})

    @property
    def opens(self) -> tuple[Opens[Any], ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (Fold(self),)

    @property
    def journal(self) -> str:
        facts = () if self.name else (self.start, self.rules)
        return journal(PickLLMRouter.kind, self.name, VERSION, *facts)

    def begin(self) -> PickLLMRouter:
        """Raises `ConfigError` for a `start` that is no such router, or that learned by the other rule."""
        if self.start is None:
            return PickLLMRouter(self.rules)
        return started(self.start, PickLLMRouter).begin(self.rules)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        state = await (await run.open(Fold(self))).state(run)
        said = state.forecast(Queries((request.question,)), members)
        return await with_spending(prospects(PickLLMRouter.kind, Scale.SCORE, members, said), self.start, run)

    async def features(self, request: Request, run: Run) -> Json:  # noqa: ARG002
        """Nothing."""
        return None

    def entries(self, lesson: Lesson) -> Sequence[Json]:
        """One for each member that has earned something (`rewards`); those who answered share the run's cost.

        What a member would have cost that was not asked is unknown.
        """
        routed = lesson.routed
        share = None if routed.cost_usd is None or not routed.chosen else routed.cost_usd / len(routed.chosen)
        return [
            {
                "version": VERSION,
                "member": member,
                "accuracy": reward,
                "cost_usd": share if member in routed.chosen else None,
                "latency_s": routed.latency_s if member in routed.chosen else None,
            }
            for member, reward in rewards(lesson).items()
        ]
