"""The run: the only door to members, for one request.

Everything that calls a model, spends money, waits, is cancelled or is recorded does so here, so a
method is plain composition. A member's failure is a value that the method sees; it never cancels
its siblings. Cancelling the task that drives the run cancels every call it has under way.

What it does not know: how members are opened (the committee) and what makes a good answer (the parts).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from coterie import ranking
from coterie._version import __version__
from coterie.errors import ConfigError, MemberError, NoAnswer, StoreError
from coterie.prospects import Choice, Prospects
from coterie.protocols import (
    Aim,
    Decision,
    EarlyJudge,
    Emit,
    Fuser,
    House,
    Journals,
    Judge,
    Opens,
    Policy,
    Router,
    Scorer,
)
from coterie.ranking.decided import decided
from coterie.run.arriving import Awaited, awaited
from coterie.run.cache import Cache
from coterie.run.calls import Attempts, Seat, defect
from coterie.run.emitter import Emitter
from coterie.run.fitness import unfit
from coterie.run.gathering import CUT, SETTLED, Until, gathered, let_go
from coterie.run.ledger import Ledger, estimate_usd
from coterie.run.routing import Routing
from coterie.run.stream import AnswerPiece, Channel
from coterie.run.thread import Alone, Thread
from coterie.run.turn import KEEPING_S, OpenTurn
from coterie.run.window import Cuts, within
from coterie.store.keys import exact
from coterie.trace import (
    AnswerGiven,
    CallFinished,
    CallScored,
    CallStarted,
    CandidateOffered,
    JudgementMade,
    Noted,
    RankingMade,
    RunFinished,
    RunStarted,
    Status,
    WorkDone,
)
from coterie.turns import Plan
from coterie.types import (
    Candidate,
    Card,
    Completion,
    Failure,
    FailureKind,
    Json,
    Judgement,
    Limits,
    Outstanding,
    Ranking,
    Request,
    Result,
    Scores,
    Standing,
    Usage,
)

log = logging.getLogger("coterie")

T = TypeVar("T")
R = TypeVar("R", Completion, Scores)


class LiveRun:
    """One request on its way through a method. Parts see it as `coterie.protocols.Run`."""

    def __init__(
        self,
        request: Request,
        seats: Mapping[str, Seat],
        limits: Limits = Limits(),  # noqa: B008
        *,
        seed: int = 0,
        channel: Channel | None = None,
        cache: Cache | None = None,
        house: House | None = None,
        method: tuple[str, Mapping[str, Json]] = ("", {}),
    ) -> None:
        self.id = f"run-{secrets.token_hex(16)}"
        self.request = request
        self._seats = seats
        self._seed = seed
        self._cache = cache
        self._house = house
        self.thread: Thread = Alone()
        """What is known of the conversation's earlier turns."""
        self.settles = True
        """False where every judgement is waited for that there was before (a replay)."""
        self._turn: OpenTurn | None = None
        """The turn of that conversation which this run answers, once it was planned."""
        self._cut: Cuts | None = None
        """Of the request that members were asked last."""
        self._aim: tuple[Aim, tuple[str, ...]] | None = None
        """In the view a judge is handed: what its judgements are wanted for, and the ids of all candidates."""
        self._alone = False
        """True in the view in which one member answers alone: whatever it says is the answer, a refusal too."""
        self._answers = False
        """True in the view a fuser is handed: what it composes is the answer."""
        self.ledger = Ledger(limits, channel)
        self.limits = limits
        self.cards: Mapping[str, Card] = {name: seat.card for name, seat in seats.items()}
        self.routing = Routing(method[0], self.ledger, self.cards)
        self._open(*method)

    def _open(self, method: str, spec: Mapping[str, Json]) -> None:
        """Write the first event, and what a reader must know of this pool."""
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        cards = tuple(self.cards.values())
        self.ledger.write(
            RunStarted(0.0, self.id, method, spec, self.request, cards, self.limits, self._seed, utc, __version__)
        )
        unpriced = [name for name, card in self.cards.items() if card.price is None]
        if self.limits.max_usd is not None and unpriced:
            self.note(f"max_usd cannot bound members without a known price: {', '.join(unpriced)}")
        for model, names in _by_model(cards).items():
            if len(names) > 1:
                self.note(
                    f"{', '.join(names)} are {len(names)} prompts of one model ({model}), not {len(names)} models"
                )

    # ---- what parts may know ------------------------------------------------------------------

    @property
    def expired(self) -> bool:
        return self.ledger.left_s <= 0

    def rng(self, *salt: object) -> random.Random:
        return random.Random(f"{self._seed}:{salt!r}")

    def note(self, text: str) -> None:
        self.ledger.note(text)

    # ---- the conversation ---------------------------------------------------------------------

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int) -> Plan:
        if not members:
            raise NoAnswer(self._nothing(members))
        self._turn = OpenTurn(self.thread, self.id, self.ledger)
        rng = partial(self.rng, "policy", exact(self.request.messages, ""))
        return await self._turn.plan(policy, members, top_k, rng)

    async def remember(self, result: Result) -> None:
        """Keep this turn for the next one of its conversation, where a policy planned it."""
        if self._turn is not None:
            await self._turn.keep(result)

    async def give_up(self) -> None:
        """Where nobody answered: a conversation that was to begin with this turn has not begun."""
        if self._turn is not None:
            await self._turn.give_up()

    # ---- members write ------------------------------------------------------------------------

    async def generate(
        self, members: Sequence[str], request: Request, *, parents: Sequence[str] = ()
    ) -> list[Candidate]:
        return await self._generated(awaited(members), request, tuple(parents))

    async def _generated(
        self, arrivals: Sequence[Awaited], request: Request, parents: tuple[str, ...] = ()
    ) -> list[Candidate]:
        members = [arrival.author for arrival in arrivals]
        ids = [self.ledger.id("c") for _ in members]
        calls = [
            arrival.by(self._written(id_, arrival.author, request, parents))
            for id_, arrival in zip(ids, arrivals, strict=True)
        ]
        outcomes = await self.gather(calls)
        for arrival in arrivals:
            arrival.give_up()
        found = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
        wanted = min(self.limits.quorum or 0, len(members))
        if len(found) < wanted:
            self.ledger.partial = True
        if not found:
            raise NoAnswer(self._nothing(members), self.ledger.failures)
        return found

    async def _written(self, id_: str, member: str, request: Request, parents: tuple[str, ...]) -> Candidate | Failure:
        """What `member` writes for as much of `request` as it can read."""
        sent = await self._within(member, request)
        needs = (*parents, *self.routing.work)
        outcome = await self.ask(member, sent, stage="generate", needs=needs)
        return self._offered(id_, outcome, request, "generate", parents)

    def _view(self) -> LiveRun:
        """This run as a part is to see it: the same ledger, and what the part is told besides."""
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)  # what copy.copy does in the end, without its detours
        return view

    async def reply(self, member: str, request: Request) -> Candidate | Failure:
        view = self._view()
        view._answers = view._alone = True
        return await view._written(self.ledger.id("c"), member, request, ())

    # ---- routers say --------------------------------------------------------------------------

    async def forecast(self, router: Router, request: Request, members: Sequence[str]) -> Prospects:
        return await self.routing.forecast(router, request, members, self)

    def decide(self, decision: Decision, prospects: Prospects) -> Choice:
        return self.routing.chosen(decision.choose(prospects, self.rng("decision")))

    async def journals(self) -> Journals:
        return await self.routing.journals()

    async def keep_for_feedback(self, result: Result) -> None:
        """Keep what a learning router wants to know when feedback comes; what goes wrong must not cost the answer."""
        if not self.routing.learns:
            return
        try:
            async with asyncio.timeout(KEEPING_S):
                await self.routing.remember(self.id, result)
        except (StoreError, TimeoutError) as error:
            self.note(f"feedback on this run cannot be learned from: {error or 'the store did not answer in time'}")
        except Exception as error:
            log.exception("what %s was routed by could not be kept", self.id)
            self.note(f"feedback on this run cannot be learned from: {type(error).__name__}: {error}")

    async def _within(self, member: str, request: Request, texts: Sequence[str] = ()) -> Request:
        """`request` with as many of its turns as fit into the member's window; a note says which are left out."""
        seat = self._seats.get(member)
        cuts = self._cuts(request)
        if seat is None or seat.model is None or len(cuts) == 1:
            return request
        try:
            async with asyncio.timeout(max(0.0, min(seat.timeout_s, self.ledger.left_s))):
                sent = await within(cuts, seat.card.context_tokens, seat.model, texts)
        except (MemberError, TimeoutError):
            return request  # it says itself what is wrong
        except Exception as error:  # a member's defect must not take its siblings down
            defect(member, error)
            return request
        if sent.left_out:
            oldest = "oldest turn" if sent.left_out == 1 else f"{sent.left_out} oldest turns"
            self._note_once(f"{member} read the conversation without its {oldest}: more does not fit into its window")
        return sent.request

    def _cuts(self, request: Request) -> Cuts:
        """Where `request` can be cut. All who are asked the same share what was counted for it."""
        if self._cut is None or self._cut.whole is not request:
            self._cut = Cuts(request)
        return self._cut

    def _note_once(self, text: str) -> None:
        if not any(isinstance(event, Noted) and event.text == text for event in self.ledger.events):
            self.note(text)

    def _nothing(self, members: Sequence[str]) -> str:
        if not members:
            return "the method has no members to ask; name some in its configuration"
        errors = "; ".join(f"{f.member}: {f.error}" for f in self.ledger.failures)
        return f"none of {len(members)} members answered ({errors})"

    async def compose(self, member: str, request: Request, parents: Sequence[Candidate]) -> Candidate | Failure:
        ids = tuple(c.id for c in parents)
        needs = (*ids, *self.ledger.ranking_over(ids))
        id_ = self.ledger.id("c")
        outcome = await self.ask(member, request, stage="fuse", needs=needs)
        return self._offered(id_, outcome, request, "fuse", ids)

    def _offered(
        self, id_: str, outcome: Completion | Failure, request: Request, stage: str, parents: tuple[str, ...]
    ) -> Candidate | Failure:
        """What a member wrote as a candidate, where it can be one."""
        if isinstance(outcome, Failure):
            return outcome
        if (why := unfit(outcome, request, alone=self._alone)) is not None:
            return self.ledger.fail(Failure(outcome.member, *why, stage), silent=True)
        said = (outcome.tool_calls, outcome.refusal)
        return self._offer(Candidate(id_, outcome.member, outcome.text, parents, outcome.call, *said))

    async def ask(
        self, member: str, request: Request, *, stage: str = "ask", needs: Sequence[str] = ()
    ) -> Completion | Failure:
        call = self.ledger.id("k")
        emit = Emitter(self.ledger, call, member, stage, answers=self._answers) if self.ledger.channel else None

        def generate(model: Any) -> Awaitable[Completion]:
            completion: Awaitable[Completion] = model.generate(request, emit)
            return completion

        outcome: Completion | Failure
        if self._cache is not None and (kept := self._cache.get(member, request)):
            outcome = self._recalled(kept, call, request, stage, needs)
        else:
            outcome = await self._call(call, member, request, stage, needs, generate, emit=emit)
            if isinstance(outcome, Completion) and self._cache is not None:
                self._cache.put(member, request, outcome)
        if isinstance(outcome, Completion) and outcome.declined and not self._alone:
            outcome = self.ledger.fail(_declined(outcome, stage), silent=True)
        if emit is not None:
            emit.end(outcome)
        return outcome

    def _recalled(self, kept: Completion, call: str, request: Request, stage: str, needs: Sequence[str]) -> Completion:
        """A completion out of the cache, recorded as such."""
        now = self.ledger.now()
        own = None if request is self.request else request
        completion = replace(kept, call=call)
        self.ledger.write(CallStarted(now, call, kept.member, stage, tuple(needs), own))
        self.ledger.write(CallFinished(now, call, completion, cached=True))
        return completion

    async def score(
        self, member: str, request: Request, texts: Sequence[str], *, stage: str = "score", needs: Sequence[str] = ()
    ) -> Scores | Failure:
        request = await self._within(member, request, texts)

        async def score(model: Any) -> Scores:
            if not isinstance(model, Scorer):
                raise MemberError(f"{member!r} gives no log-probabilities of given texts", FailureKind.UNAVAILABLE)
            return await model.score(request, texts)

        call, given = self.ledger.id("k"), tuple(texts)
        if self._cache is not None and (kept := self._cache.get_scores(member, request, given)):
            return self._scored_before(replace(kept, call=call), request, stage, needs, given)
        outcome = await self._call(call, member, request, stage, needs, score, texts=given)
        if isinstance(outcome, Scores) and self._cache is not None:
            self._cache.put_scores(member, request, given, outcome)
        return outcome

    def _scored_before(
        self, kept: Scores, request: Request, stage: str, needs: Sequence[str], texts: tuple[str, ...]
    ) -> Scores:
        """Scores out of the cache, recorded as such."""
        now = self.ledger.now()
        own = None if request is self.request else request
        self.ledger.write(CallStarted(now, kept.call, kept.member, stage, tuple(needs), own, texts))
        self.ledger.write(CallScored(now, kept.call, kept, cached=True))
        return kept

    # ---- parts work themselves ----------------------------------------------------------------

    async def work(
        self, actor: str, job: Awaitable[T], *, stage: str = "work", needs: Sequence[str] = ()
    ) -> tuple[str, T] | Failure:
        id_ = self.ledger.id("w")
        began = self.ledger.now()
        try:
            async with asyncio.timeout(max(0.0, self.ledger.left_s)) as clock:
                done = await job
        except TimeoutError:
            if not clock.expired():
                raise
            error = f"cut off after {self.ledger.now() - began:.1f} s: the request's deadline"
            return self.ledger.fail(Failure(actor, error, FailureKind.DEADLINE, stage, call=id_), silent=True)
        now = self.ledger.now()
        self.ledger.write(WorkDone(now, id_, actor, stage, now - began, tuple(needs)))
        return id_, done

    async def write(
        self, author: str, job: Callable[[Emit | None], Awaitable[str]], parents: Sequence[Candidate]
    ) -> Candidate | Failure:
        ids = tuple(candidate.id for candidate in parents)
        emit = Emitter(self.ledger, author, author, "fuse", answers=self._answers) if self.ledger.channel else None
        needs = (*ids, *self.ledger.ranking_over(ids))
        outcome = await self.work(author, job(emit), stage="fuse", needs=needs)
        text = "" if isinstance(outcome, Failure) else outcome[1]
        if isinstance(outcome, Failure) or not text.strip():
            empty = Failure(author, "an empty text", FailureKind.EMPTY, "fuse")
            failed = outcome if isinstance(outcome, Failure) else self.ledger.fail(empty, silent=True)
            if emit is not None:
                emit.end(failed)
            return failed
        if emit is not None and not emit.used:
            emit(text)
        return self._offer(Candidate(self.ledger.id("c"), author, text, ids, outcome[0]))

    def _offer(self, candidate: Candidate) -> Candidate:
        self.ledger.write(CandidateOffered(self.ledger.now(), candidate))
        return candidate

    # ---- one call -----------------------------------------------------------------------------

    async def _call(
        self,
        call: str,
        member: str,
        request: Request,
        stage: str,
        needs: Sequence[str],
        work: Callable[[Any], Awaitable[R]],
        *,
        texts: tuple[str, ...] | None = None,
        emit: Emitter | None = None,
    ) -> R | Failure:
        ledger = self.ledger
        refused = self._refused(member, call, stage, request, texts or ())
        if refused and refused.kind is FailureKind.EXCLUDED:
            return ledger.fail(refused, silent=True)
        own = None if request is self.request else request
        ledger.write(CallStarted(ledger.now(), call, member, stage, tuple(needs), own, texts))
        if refused:
            return ledger.fail(refused)
        seat = self._seats[member]
        reserved_usd = estimate_usd(seat.card.price, request, texts or ()) if self.limits.max_usd is not None else 0.0
        ledger.reserve(reserved_usd)
        attempts = Attempts(seat, ledger, call, self._seed, emit)
        try:
            outcome = await attempts.run(work)
        except MemberError as error:
            return self._failed(call, member, stage, request, error, attempts)
        except asyncio.CancelledError as cancelled:
            self._failed(call, member, stage, request, _why_cancelled(cancelled), attempts)
            raise
        except Exception as error:  # a member's defect must not take its siblings down
            return self._failed(call, member, stage, request, defect(member, error), attempts)
        finally:
            ledger.reserve(-reserved_usd)
        return self._landed(call, request, outcome, attempts)

    def _refused(self, member: str, call: str, stage: str, request: Request, texts: Sequence[str]) -> Failure | None:
        """Why this call is not made at all."""
        seat = self._seats.get(member)
        if seat is None:
            return Failure(member, f"{member!r} is not in the pool", FailureKind.UNAVAILABLE, stage, call=call)
        if before := self.ledger.failed(member):
            error = f"not asked again after: {before.error}"
            return Failure(member, error, FailureKind.EXCLUDED, stage, call=call)
        if seat.model is None:
            return Failure(member, seat.error, FailureKind.UNAVAILABLE, stage, call=call)
        if self.ledger.left_s <= 0:
            return Failure(member, "not asked: the deadline has passed", FailureKind.DEADLINE, stage, call=call)
        if over := self.ledger.refusal(seat.card.price, request, texts):
            return Failure(member, f"not asked: {over}", FailureKind.BUDGET, stage, call=call)
        return None

    def _landed(self, call: str, request: Request, outcome: R, attempts: Attempts) -> R:
        """Book and record what came back."""
        latency_s = asyncio.get_running_loop().time() - attempts.started_s
        once = attempts.tries == 1 and outcome.usage.calls == 1
        usage = outcome.usage if once else replace(outcome.usage, calls=attempts.tries) + attempts.spent
        self.ledger.spend(usage, request)
        landed = replace(outcome, call=call, latency_s=latency_s, usage=usage)
        if isinstance(landed, Completion):
            self.ledger.write(CallFinished(self.ledger.now(), call, landed))
        else:
            self.ledger.write(CallScored(self.ledger.now(), call, landed))
        return landed

    def _failed(
        self, call: str, member: str, stage: str, request: Request, error: MemberError, attempts: Attempts
    ) -> Failure:
        """Book and record a call that gave nothing."""
        price = self._seats[member].card.price
        free = Usage(0, None, None, price.cost_usd(None, None) if price else None)
        usage = replace(error.usage or free, calls=attempts.tries) + attempts.spent if attempts.tries else Usage()
        latency_s = asyncio.get_running_loop().time() - attempts.started_s
        self.ledger.spend(usage, request)
        written_chars = attempts.listener.chars if attempts.listener is not None else 0
        told = (error.status, error.retry_after_s, written_chars)
        return self.ledger.fail(Failure(member, str(error), error.kind, stage, usage, latency_s, call, *told))

    # ---- side by side -------------------------------------------------------------------------

    async def gather(
        self,
        calls: Sequence[Awaitable[T]],
        *,
        every: bool = False,
        until: Until[T] | None = None,
    ) -> list[T | None]:
        return await gathered(calls, self.limits, every=every, until=until)

    # ---- parts --------------------------------------------------------------------------------

    async def judge(self, judge: Judge, request: Request, candidates: Sequence[Candidate]) -> list[Judgement]:
        return self._recorded(await judge.judge(request, candidates, self))

    async def judged(
        self, members: Sequence[str], request: Request, judge: Judge, aim: Aim | None = None
    ) -> tuple[list[Candidate], list[Judgement]]:
        view = self._view()
        if not isinstance(judge, EarlyJudge):
            candidates = await self.generate(members, request)
            view._aim = _aimed(aim, candidates)
            return candidates, await view.judge(judge, request, candidates) if len(candidates) > 1 else []
        arrivals = awaited(members)
        early = asyncio.ensure_future(judge.judge_early(request, arrivals, view))
        try:
            candidates = await self._generated(arrivals, request)
            view._aim = _aimed(aim, candidates)
            if len(candidates) == 1:  # reviews of the only answer have nothing to decide
                await let_go(early, why=SETTLED)
                return candidates, []
            return candidates, self._recorded(await early)
        finally:
            await let_go(early)

    def decided(self, judgements: Sequence[Judgement], outstanding: Sequence[Outstanding]) -> bool:
        if self._aim is None or not self.settles:
            return False
        aim, over = self._aim
        places = range(1, min(aim.top_k, len(over)) + 1)
        return all(decided(aim.rule, judgements, outstanding, over, place) for place in places)

    def _recorded(self, said: Sequence[Judgement]) -> list[Judgement]:
        judgements = list(said)
        for judgement in judgements:
            id_ = self.ledger.id("j")
            self.ledger.judgements[judgement] = id_
            self.ledger.write(JudgementMade(self.ledger.now(), id_, judgement))
        return judgements

    def rank(self, rule: str, judgements: Sequence[Judgement], over: Sequence[Candidate]) -> Ranking:
        ids = [candidate.id for candidate in over]
        ranked = ranking.rule(rule)(judgements, ids)
        id_ = self.ledger.id("r")
        needs = (*ids, *(self.ledger.judgements[j] for j in judgements if j in self.ledger.judgements))
        self.ledger.rankings.append((id_, frozenset(ids)))
        self.ledger.write(RankingMade(self.ledger.now(), id_, ranked, needs))
        return ranked

    async def fuse(self, fuser: Fuser, request: Request, best: Sequence[Standing]) -> Candidate | Failure:
        view = self._view()
        view._answers = True
        return await fuser.fuse(request, best, view)

    async def open(self, spec: Opens[T]) -> T:
        if self._house is None:
            raise ConfigError(f"{spec!r} must be opened, but this run has no house to keep it in")
        return await self._house.once(spec)

    def finish(self, status: Status, error: str = "") -> None:
        """Write the last event."""
        self.ledger.write(RunFinished(self.ledger.now(), status, self.ledger.usage, error))

    def answer(self, result: Result) -> None:
        """Record the method's answer, and publish its text where it was not written in public."""
        if over := self.ledger.overrun_usd:
            self.note(
                f"max_usd={self.limits.max_usd} was overrun by {over:.6f} USD: "
                "what an answer without max_tokens will cost is not known before it is there"
            )
        ids = result.ranking.order if result.ranking else (result.candidate.id,)
        needs = self.ledger.ranking_over(ids)
        self.ledger.write(AnswerGiven(self.ledger.now(), result.candidate.id, result.how, self.ledger.partial, needs))
        if not self.ledger.shown:  # nothing of it was written in public
            self.ledger.publish(AnswerPiece(result.candidate.text))


def _by_model(cards: Sequence[Card]) -> dict[str, list[str]]:
    """Members by the model behind them, where it is known."""
    names: dict[str, list[str]] = {}
    for card in cards:
        if card.model and card.model != "scripted":
            names.setdefault(card.model, []).append(card.name)
    return names


def _aimed(aim: Aim | None, candidates: Sequence[Candidate]) -> tuple[Aim, tuple[str, ...]] | None:
    return None if aim is None else (aim, tuple(candidate.id for candidate in candidates))


def _declined(completion: Completion, stage: str) -> Failure:
    """What a refusal is to a method that has other members: no text to make anything of."""
    said = f"it refused: {completion.refusal!r:.200}" if completion.refusal else "an empty answer: it was filtered"
    return Failure(completion.member, said, FailureKind.EMPTY, stage, call=completion.call)


def _why_cancelled(cancelled: asyncio.CancelledError) -> MemberError:
    if cancelled.args == (CUT,):
        return MemberError("cut: enough others had answered and the grace time was over", FailureKind.CUT)
    if cancelled.args == (SETTLED,):
        return MemberError("cut: it could not change the outcome any more", FailureKind.CUT)
    return MemberError("the request was cancelled", FailureKind.CANCELLED)
