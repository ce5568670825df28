"""Routing within one run: what a router said, what was decided by it, and what is kept of that for feedback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from coterie.errors import RouterError, StoreError
from coterie.prospects import Choice, Prospect, Prospects, Routed, Scale
from coterie.protocols import Journals, Learner, Router, Run, Store
from coterie.run.ledger import Ledger, guess_tokens
from coterie.store.plain import ROUTED
from coterie.trace import ChoiceMade, Noted, ProspectsGiven
from coterie.types import Candidate, Card, Failure, Json, Request, Result

ROUTING_SHARE = 0.5
"""How much of the time that is left the router may take: whoever is asked without its word still answers."""


@dataclass
class Routing:
    """What is known of members before they are asked, in one run."""

    method: str
    ledger: Ledger
    cards: Mapping[str, Card]
    store: Callable[[], Awaitable[Store]] | None = None
    foretold: Prospects | None = None
    """What was said then (a replay): no router is asked."""
    work: tuple[str, ...] = ()
    """The router's work in the trace, which whoever is asked afterwards has waited for."""
    _learner: tuple[Learner, Json] | None = None
    _choice: Choice | None = None

    async def forecast(self, router: Router, request: Request, members: Sequence[str], run: Run) -> Prospects:
        """What the router expects, recorded; nothing of anybody where it cannot say anything."""
        given = self.foretold or await self._said(router, request, members, run)
        prospects = replace(given, members=tuple(self._of(name, given, request) for name in members))
        self.ledger.write(ProspectsGiven(self.ledger.now(), prospects, self.work))
        return prospects

    async def _said(self, router: Router, request: Request, members: Sequence[str], run: Run) -> Prospects:
        name = type(router).__name__
        silent = Prospects(name, Scale.SCORE, ())
        try:
            async with asyncio.timeout(max(0.0, ROUTING_SHARE * self.ledger.left_s)):
                done = await run.work(name, self._asked(router, request, members, run), stage="route")
        except RouterError as error:
            return self._unsaid(silent, str(error))
        except TimeoutError:
            return self._unsaid(silent, f"it took more than {ROUTING_SHARE:.0%} of the request's time")
        if isinstance(done, Failure):
            return self._unsaid(silent, done.error)
        work, said = done
        self.work = (work,)
        return said

    def _unsaid(self, silent: Prospects, why: str) -> Prospects:
        self.ledger.write(Noted(self.ledger.now(), f"the router could not say anything: {why}"))
        return silent

    async def _asked(self, router: Router, request: Request, members: Sequence[str], run: Run) -> Prospects:
        said = await router.forecast(request, members, run)
        if isinstance(router, Learner):
            self._learner = (router, await router.features(request, run))
        return said

    def _of(self, member: str, given: Prospects, request: Request) -> Prospect:
        """What is expected of a member; its cost by its price where the router does not know it."""
        found = next((prospect for prospect in given.members if prospect.member == member), Prospect(member, None))
        price = self.cards[member].price if member in self.cards else None
        if found.cost_usd is not None or price is None:
            return found
        tokens = None if found.output_tokens is None else round(found.output_tokens)
        return replace(found, cost_usd=price.cost_usd(guess_tokens(request), tokens))

    def chosen(self, choice: Choice) -> Choice:
        """The choice, recorded."""
        self._choice = choice
        self.ledger.write(ChoiceMade(self.ledger.now(), choice))
        return choice

    async def journals(self) -> Journals:
        if self.store is None:
            raise StoreError("this run has no store, so nothing that was learned is known")
        return (await self.store()).journals

    @property
    def learns(self) -> bool:
        """True where feedback on this run could be learned from."""
        return self._learner is not None and self.store is not None

    async def remember(self, run: str, result: Result) -> None:
        """Afterwards feedback on the run can be learned from. Raises `StoreError`."""
        if self._learner is None or self.store is None:
            return
        learner, features = self._learner
        usage = self.ledger.usage
        routed = Routed(
            self.method,
            learner.journal,
            self._authors(result.candidate),
            features,
            usage.cost_usd,
            self.ledger.now(),
            usage.output_tokens,
            self._choice.probability if self._choice else None,
        )
        records = (await self.store()).records
        await records.update(ROUTED, run, lambda _: {"routed": asdict(routed), "heard": []})

    def _authors(self, answer: Candidate) -> tuple[str, ...]:
        """The members whose texts the answer is, or was made from."""
        by_id = {candidate.id: candidate for candidate in self.ledger.candidates}
        made_of = [by_id[parent].author for parent in answer.parents if parent in by_id]
        return tuple(dict.fromkeys(made_of or [answer.author]))
