"""Route: who answers is decided before anybody is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from coterie.decisions import Best
from coterie.errors import ConfigError, NoAnswer, RouterError
from coterie.methods.steps import everyone
from coterie.prospects import Choice, Prospects
from coterie.protocols import Decision, Method, Router, Run
from coterie.types import Failure, Request, Result


@dataclass(frozen=True)
class Route:
    """The answer of the member that a decision chooses by a router's prospects; with `then`, a method's over `take`.

    Needs: a router, trained or not. Costs: one call, and the router's own time; with `then` what that method costs for
    `take` members. Who is chosen and fails is followed by the next in the decision's order.
    """

    router: Router
    members: tuple[str, ...] = ()
    """Among whom to choose; those of `then` where left out."""
    decision: Decision = field(default_factory=Best)
    take: int = 1
    """How many are chosen; more than one only for a method that makes one answer of theirs."""
    then: Method | None = None
    """The method that the chosen ones answer by, each for itself where left out."""

    def __post_init__(self) -> None:
        if self.take < 1:
            raise ValueError(f"take must be at least 1, not {self.take!r}")
        if self.then is None and self.take > 1:
            raise ConfigError(f"take={self.take} members write as many answers: name in `then` what makes one of them")
        if self.then is not None:
            _check(self.then)
        if len(set(self.pool)) < len(self.pool):
            raise ConfigError(f"a router chooses among members that stand once each, unlike {list(self.pool)!r}")

    @property
    def pool(self) -> tuple[str, ...]:
        """Among whom the choice is made."""
        return self.members or tuple(getattr(self.then, "members", ()))

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.pool, *(() if self.then is None else (self.then,)))

    async def __call__(self, request: Request, run: Run) -> Result:
        if not self.pool:
            raise NoAnswer("the method has no members to ask; name some in its configuration")
        prospects = await run.forecast(self.router, request, self.pool)
        choice = run.decide(self.decision, prospects)
        if self.then is not None:
            return await _then(self.then, choice, self.take, request, run)
        return await _one(choice, request, run)


@dataclass(frozen=True)
class Shut:
    """In the place of a router that could not be opened."""

    why: str

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:  # noqa: ARG002
        """Raises `RouterError`."""
        raise RouterError(self.why)


async def _one(choice: Choice, request: Request, run: Run) -> Result:
    """The answer of the first in the order that gives one. Raises `NoAnswer`."""
    failures: list[Failure] = []
    for place, member in enumerate(choice.order):
        outcome = await run.reply(member, request)
        if not isinstance(outcome, Failure):
            return Result(outcome, "routed" if len(choice.order) > 1 else "only")
        failures.append(outcome)
        if place + 1 < len(choice.order):
            run.note(f"{member} was chosen and failed ({outcome.error}), so {choice.order[place + 1]} is asked")
    errors = "; ".join(f"{failure.member}: {failure.error}" for failure in failures)
    raise NoAnswer(f"none of {len(failures)} members answered ({errors})", failures)


async def _then(method: Method, choice: Choice, take: int, request: Request, run: Run) -> Result:
    """The method's answer among the first `take`; where all of them fail, among the others. Raises `NoAnswer`."""
    chosen, others = choice.order[:take], choice.order[take:]
    try:
        return await _among(method, chosen, request, run)
    except NoAnswer:
        if not others or run.expired:
            raise
    run.note(f"none of {', '.join(chosen)} answered, who were chosen, so the others were asked")
    return await _among(method, others, request, run)


async def _among(method: Method, members: tuple[str, ...], request: Request, run: Run) -> Result:
    narrowed: Method = dataclasses.replace(method, members=members)  # type: ignore[type-var]
    return await narrowed(request, run)


def _check(then: Method) -> None:
    """Raises `ConfigError` for a method that cannot be narrowed to those who were chosen."""
    if not hasattr(then, "members"):
        raise ConfigError(f"{type(then).__name__} names no members, so nobody can be chosen for it")
    policy = getattr(then, "policy", None)
    if policy is not None and not policy.memoryless:
        raise ConfigError(
            f"{type(policy).__name__} decides who writes from turn to turn, and a router does so for each request: "
            "keep one of them"
        )
