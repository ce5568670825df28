"""The run: the only door to members, for one request.

Everything that calls a model, spends money, waits, is cancelled or is recorded does so here, so a
method is plain composition. A member's failure is a value that the method sees; it never cancels
its siblings. Cancelling the task that drives the run cancels every call it has under way.

What it does not know: how members are opened (the committee) and what makes a good answer (the parts).
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from coterie import ranking
from coterie._version import __version__
from coterie.errors import ConfigError, MemberError, NoAnswer
from coterie.protocols import Emit, Fuser, House, Judge, Opens, Scorer
from coterie.run.cache import ResponseCache
from coterie.run.calls import Attempts, Seat, defect
from coterie.run.emitter import Emitter
from coterie.run.ledger import Ledger, estimate_usd
from coterie.run.stream import AnswerPiece, Channel
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
from coterie.types import (
    Candidate,
    Card,
    Completion,
    Failure,
    FailureKind,
    Json,
    Judgement,
    Limits,
    Ranking,
    Request,
    Result,
    Scores,
    Standing,
    Usage,
)

T = TypeVar("T")
R = TypeVar("R", Completion, Scores)

LETTING_GO_S = 1.0
"""How long a cancelled call may take to let go. A member that swallows cancellation is not waited for."""

CUT = "cut"
"""The message with which the run cancels a call that nobody waits for any more."""


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
        cache: ResponseCache | None = None,
        house: House | None = None,
        method: tuple[str, Mapping[str, Json]] = ("", {}),
    ) -> None:
        self.id = f"run-{uuid4().hex}"
        self.request = request
        self._seats = seats
        self._seed = seed
        self._cache = cache
        self._house = house
        self._answers = False
        """True in the view a fuser is handed: what it composes is the answer."""
        self.ledger = Ledger(limits, channel)
        self.limits = limits
        self.cards: Mapping[str, Card] = {name: seat.card for name, seat in seats.items()}
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
        self.ledger.write(Noted(self.ledger.now(), text))

    # ---- members write ------------------------------------------------------------------------

    async def generate(
        self, members: Sequence[str], request: Request, *, parents: Sequence[str] = ()
    ) -> list[Candidate]:
        ids = [self.ledger.id("c") for _ in members]
        calls = [
            self._offered(id_, member, request, "generate", tuple(parents), tuple(parents))
            for id_, member in zip(ids, members, strict=True)
        ]
        outcomes = await self.gather(calls)
        found = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
        wanted = min(self.limits.quorum or 0, len(members))
        if len(found) < wanted:
            self.ledger.partial = True
        if not found:
            raise NoAnswer(self._nothing(members), self.ledger.failures)
        return found

    def _nothing(self, members: Sequence[str]) -> str:
        if not members:
            return "the method has no members to ask; name some in its configuration"
        errors = "; ".join(f"{f.member}: {f.error}" for f in self.ledger.failures)
        return f"none of {len(members)} members answered ({errors})"

    async def compose(self, member: str, request: Request, parents: Sequence[Candidate]) -> Candidate | Failure:
        ids = tuple(c.id for c in parents)
        needs = (*ids, *self.ledger.ranking_over(ids))
        return await self._offered(self.ledger.id("c"), member, request, "fuse", ids, needs)

    async def _offered(
        self, id_: str, member: str, request: Request, stage: str, parents: tuple[str, ...], needs: tuple[str, ...]
    ) -> Candidate | Failure:
        outcome = await self.ask(member, request, stage=stage, needs=needs)
        if isinstance(outcome, Failure):
            return outcome
        if not outcome.text.strip() and not outcome.tool_calls:
            return self.ledger.fail(Failure(member, "an empty answer", FailureKind.EMPTY, stage), silent=True)
        return self._offer(Candidate(id_, member, outcome.text, parents, outcome.call, outcome.tool_calls))

    async def ask(
        self, member: str, request: Request, *, stage: str = "ask", needs: Sequence[str] = ()
    ) -> Completion | Failure:
        call = self.ledger.id("k")
        emit = Emitter(self.ledger, call, member, stage, answers=self._answers) if self.ledger.channel else None

        if self._cache and (kept := self._cache.get(member, request)):
            return self._recalled(kept, call, request, stage, needs, emit)

        def generate(model: Any) -> Awaitable[Completion]:
            completion: Awaitable[Completion] = model.generate(request, emit)
            return completion

        outcome = await self._call(call, member, request, stage, needs, generate, emit=emit)
        if isinstance(outcome, Completion) and self._cache:
            self._cache.put(member, request, outcome)
        if emit is not None:
            emit.end(outcome)
        return outcome

    def _recalled(
        self, kept: Completion, call: str, request: Request, stage: str, needs: Sequence[str], emit: Emitter | None
    ) -> Completion:
        """A completion out of the cache, recorded as such."""
        now = self.ledger.now()
        own = None if request is self.request else request
        completion = replace(kept, call=call)
        self.ledger.write(CallStarted(now, call, kept.member, stage, tuple(needs), own))
        self.ledger.write(CallFinished(now, call, completion, cached=True))
        if emit is not None:
            emit.end(completion)
        return completion

    async def score(
        self, member: str, request: Request, texts: Sequence[str], *, stage: str = "score", needs: Sequence[str] = ()
    ) -> Scores | Failure:
        async def score(model: Any) -> Scores:
            if not isinstance(model, Scorer):
                raise MemberError(f"{member!r} gives no log-probabilities of given texts", FailureKind.UNAVAILABLE)
            return await model.score(request, texts)

        return await self._call(self.ledger.id("k"), member, request, stage, needs, score, texts=tuple(texts))

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
        return self.ledger.fail(Failure(member, str(error), error.kind, stage, usage, latency_s, call))

    # ---- side by side -------------------------------------------------------------------------

    async def gather(self, calls: Sequence[Awaitable[T]], *, every: bool = False) -> list[T | None]:
        tasks = [asyncio.ensure_future(call) for call in calls]
        why: str | None = CUT
        try:
            await self._enough(tasks, len(tasks) if every else self.limits.quorum or len(tasks))
        except asyncio.CancelledError as cancelled:
            why = cancelled.args[0] if cancelled.args else None  # our own calls end for the reason that ended us
            raise
        finally:
            late = [task for task in tasks if not task.done()]
            for task in late:
                task.cancel(why)
            if late:
                await asyncio.wait(late, timeout=LETTING_GO_S)
        return [None if not task.done() or task.cancelled() else task.result() for task in tasks]

    async def _enough(self, tasks: Sequence[asyncio.Future[T]], wanted: int) -> None:
        """Return when all are done, or when the quorum has answered and the grace time is over."""
        if not tasks:
            return
        quorum = min(wanted, len(tasks))
        every = asyncio.Event()
        some = asyncio.Event()
        left, good = len(tasks), 0

        def landed(task: asyncio.Future[T]) -> None:
            nonlocal left, good
            left -= 1
            broken = not task.cancelled() and task.exception() is not None
            good += not (task.cancelled() or broken or _is_failure(task.result()))
            if good >= quorum or left == 0 or broken:
                some.set()
            if left == 0 or broken:
                every.set()

        for task in tasks:
            task.add_done_callback(landed)
        await some.wait()
        if not every.is_set():
            try:
                async with asyncio.timeout(self.limits.grace_s):
                    await every.wait()
            except TimeoutError:
                return

    # ---- parts --------------------------------------------------------------------------------

    async def judge(self, judge: Judge, request: Request, candidates: Sequence[Candidate]) -> list[Judgement]:
        judgements = list(await judge.judge(request, candidates, self))
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
        view = copy.copy(self)
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


def _is_failure(result: object) -> bool:
    """True for what fills no quorum: nothing, a failure, a ballot that says nothing."""
    return result is None or isinstance(result, Failure) or (isinstance(result, Judgement) and not result.about)


def _why_cancelled(cancelled: asyncio.CancelledError) -> MemberError:
    if cancelled.args == (CUT,):
        return MemberError("cut: enough others had answered and the grace time was over", FailureKind.CUT)
    return MemberError("the request was cancelled", FailureKind.CANCELLED)
