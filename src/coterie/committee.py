"""The committee: owns the pool, the connections, the loaded models and the event loop.

Parts are specifications; what they need is opened once, here, and closed together. Used as an
asynchronous context manager the committee lives on the caller's loop; otherwise it keeps one
background loop, behind which everything stays open from call to call, and which `ask`, `aask` and
`astream` all go through.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from coterie import config as configuration
from coterie.answer import Answer
from coterie.config import BreakerSettings, CacheSettings, Config
from coterie.door import Door
from coterie.errors import ConfigError, NoAnswer, StoreError
from coterie.feedback import Heard, hear
from coterie.methods.route import Route
from coterie.opened import Opened
from coterie.prospects import Choice, Feedback, Prospects
from coterie.protocols import Judge, MemberSpec, Method, Policy, Store
from coterie.ranked import Offered, Ranked, RankGiven, as_candidates, authors_asked
from coterie.registry import name_of
from coterie.run import (
    Alone,
    Breaker,
    Cache,
    Channel,
    KeptThread,
    LiveRun,
    Lost,
    ResponseCache,
    Seat,
    StreamItem,
    Thread,
)
from coterie.specs import describe
from coterie.store import Database
from coterie.store.plain import checked
from coterie.trace import Status, Trace
from coterie.types import Json, Limits, Message, Place, Request, Sampling, Transcript

log = logging.getLogger("coterie")

MOST_DESCRIPTIONS = 200
"""So many methods as plain data are kept: those of a request's own come and go."""

T = TypeVar("T")
M = TypeVar("M", bound=Method)

Question = str | Sequence[Message] | Request
TraceSink = Callable[[Trace], None]


@dataclass(frozen=True)
class _Order:
    """One request as it was placed."""

    request: Request
    name: str
    method: Method
    limits: Limits
    seed: int
    on_trace: TraceSink | None
    place: Place


class Committee:
    """Members, methods and limits, ready to be asked. Close it, or use it in a ``with`` statement."""

    def __init__(
        self,
        members: Sequence[MemberSpec],
        methods: Mapping[str, Method],
        limits: Limits = Limits(),  # noqa: B008
        cache: CacheSettings | None = None,
        store: Database | None = None,
        *,
        responses: Cache | None = None,
        at_once: int | None = None,
        breaker: BreakerSettings | None = None,
    ) -> None:
        """A committee made in code. Raises `ConfigError` for names given twice or asked for and absent.

        Without a store, what policies keep of conversations lives in memory, as long as the committee.
        `responses` are asked before any member is, instead of a cache by settings; `at_once` bounds the calls
        under way at all members together, so that 1 takes the time of each as if it were alone. With a `breaker`,
        a member whose endpoint is in trouble is left alone for a while; without, every request asks it anew.
        """
        names = [member.name for member in members]
        if len(set(names)) != len(names):
            raise ConfigError(f"two members have one name in {names!r}; give each its own")
        for member in members:
            configuration.check_member(member)
        self.config = Config({member.name: member for member in members}, dict(methods), limits, cache, store)
        for name, method in methods.items():
            self._check_asks(name, method)
        own = ResponseCache(cache.entries, cache.ttl_s) if cache else None
        self._cache = own if responses is None else responses
        self._door = Door()
        self._own = Opened(self.config, at_once, breaker)
        self._descriptions: dict[int, tuple[Method, Mapping[str, Json]]] = {}
        """By the method's identity, which is its own as long as the method is kept beside."""
        self._native: asyncio.AbstractEventLoop | None = None
        self._finalizer = weakref.finalize(self, _shut, self._door, self._own)

    @classmethod
    def from_config(
        cls,
        source: str | os.PathLike[str] | Mapping[str, Json] | Config,
        *,
        breaker: BreakerSettings | None = None,
    ) -> Committee:
        """A committee from a file, a mapping or a `Config`. Raises `ConfigError`."""
        made = source if isinstance(source, Config) else configuration.load(source)
        return cls(list(made.members.values()), made.methods, made.limits, made.cache, made.store, breaker=breaker)

    # ---- asking -------------------------------------------------------------------------------

    def ask(self, question: Question, method: str = "default", **how: Any) -> Answer:
        """The committee's answer.

        `how` may give `limits`, `sampling`, `seed`, `on_trace` (called with the trace, also when there is no
        answer) and `part` (the method itself, which then need not stand in the configuration), and for methods
        with a policy `conversation`: the id by which its turns are found again, or a `Place`; without an id they
        are found by the messages. Raises `NoAnswer` when nobody gave anything to answer from, and `ConfigError` for
        a method that does not exist.
        """
        self._check_sync("aask")
        return self._door.run(self._answer(self._order(question, method, **how), None))

    async def aask(self, question: Question, method: str = "default", **how: Any) -> Answer:
        """The committee's answer; see `ask`. Cancelling it cancels every call it has under way."""
        return await self._here(self._answer(self._order(question, method, **how), None))

    async def astream(
        self, question: Question, method: str = "default", **how: Any
    ) -> AsyncIterator[StreamItem | Answer]:
        """What happens, as it happens; the `Answer` comes last. See `ask` for `how` and what is raised.

        Items are trace events, `Piece` (a member is writing), `AnswerPiece` (so much more of the
        answer) and `AnswerReset` (the answer begins anew). Leaving the loop cancels the request.
        """
        order = self._order(question, method, **how)
        items = self._stream(order) if self._native is not None else self._bridged(order)
        async with aclosing(items) as stream:
            async for item in stream:
                yield item

    def _order(self, question: Question, method: str, *, part: Method | None = None, **how: Any) -> _Order:
        if part is not None:
            self._check_asks(method, part)
        elif method not in self.config.methods:
            known = ", ".join(sorted(self.config.methods)) or "none"
            raise ConfigError(f"there is no method {method!r}; there are: {known}")
        order = self._placed(question, method, part or self.config.methods[method], **how)
        if not any(says_something(message) for message in order.request.messages):
            raise ConfigError(f"the question is empty: {question!r:.80}")
        return order

    def _placed(
        self,
        question: Question,
        name: str,
        method: Method,
        *,
        limits: Limits | None = None,
        sampling: Sampling | None = None,
        seed: int | None = None,
        on_trace: TraceSink | None = None,
        conversation: str | Place | None = None,
    ) -> _Order:
        request = question if isinstance(question, Request) else Request.of(question, sampling or Sampling())
        drawn = secrets.randbits(32) if seed is None else seed
        limits = limits or self.config.limits
        place = conversation if isinstance(conversation, Place) else Place(conversation)
        _check_place(place)
        return _Order(request, name, method, limits, drawn, on_trace, place)

    # ---- ranking what is there already --------------------------------------------------------

    def rank(
        self, question: Question, candidates: Offered, *, judge: Judge, rule: str = "max_logits", **how: Any
    ) -> Ranked:
        """`candidates` as `judge` and `rule` rank them as answers to `question`; nobody is asked to write one.

        Candidates are texts, (author, text) pairs, a mapping of authors to texts, or candidates of an
        answer; equal and empty ones are candidates too. What the judge needs is opened once and kept.
        A judge that asks members (a peer review) asks those of this committee: its own reviewers, or
        authors who are members. `how` may give `limits`, `seed` and `on_trace`, as in `ask`. Raises
        `ConfigError` where there is no candidate, no such rule, or no such reviewer.
        """
        self._check_sync("arank")
        return self._door.run(self._ranked(question, candidates, judge, rule, how))

    async def arank(
        self, question: Question, candidates: Offered, *, judge: Judge, rule: str = "max_logits", **how: Any
    ) -> Ranked:
        """See `rank`. Many at once share a ranker's queue, and their deadlines count the time they wait in it."""
        return await self._here(self._ranked(question, candidates, judge, rule, how))

    async def _ranked(
        self, question: Question, candidates: Offered, judge: Judge, rule: str, how: Mapping[str, Any]
    ) -> Ranked:
        given = as_candidates(candidates)
        method = RankGiven(judge, rule, given, authors_asked(judge, given, self.config.members))
        self._check_asks("rank", method)
        return Ranked.of(await self._answer(self._placed(question, "rank", method, **how), None), len(given))

    def _check_asks(self, name: str, method: Method) -> None:
        members = self.config.members
        if absent := [member for member in method.asks if member not in members]:
            raise ConfigError(f"method {name!r} asks {absent!r}, who are not among the members {list(members)!r}")
        configuration.check_pool(method, ("methods", name))

    # ---- deciding without asking --------------------------------------------------------------

    def route(self, question: Question, method: str = "default", **how: Any) -> tuple[Prospects, Choice]:
        """What the method's router expects of its members for `question`, and who would be asked; nobody is.

        Nothing is kept of it. `how` may give `limits`, `sampling` and `seed`, as in `ask`. Raises `ConfigError` for a
        method that does not route, or a decision that cannot be made.
        """
        self._check_sync("aroute")
        return self._door.run(self._routed(self._order(question, method, **how)))

    async def aroute(self, question: Question, method: str = "default", **how: Any) -> tuple[Prospects, Choice]:
        """See `route`. Many at once share the encoder's batches."""
        return await self._here(self._routed(self._order(question, method, **how)))

    async def aprospects(self, question: Question, method: str = "default", **how: Any) -> Prospects:
        """What the method's router expects, where it does not matter who would be asked; see `aroute`."""
        return (await self._here(self._foreseen(self._order(question, method, **how))))[1]

    async def _routed(self, order: _Order) -> tuple[Prospects, Choice]:
        run, prospects = await self._foreseen(order)
        return prospects, run.decide(order.method.decision, prospects)  # type: ignore[attr-defined]

    async def _foreseen(self, order: _Order) -> tuple[LiveRun, Prospects]:
        method = order.method
        if not isinstance(method, Route):
            routes = [name for name, each in self.config.methods.items() if isinstance(each, Route)]
            raise ConfigError(
                f"the method {order.name!r} chooses nobody: it is a {name_of('methods', method)}, not a route; "
                f"methods that route: {', '.join(routes) or 'none'}"
            )
        opened = await self._own.open_ahead(method)
        cards = (self.config.members[name].card for name in method.pool)
        seats = {card.name: Seat(card, None, "nobody is asked") for card in cards}
        run = LiveRun(order.request, seats, order.limits, seed=order.seed, house=self._own.house)
        run.routing.store = self._own.store
        return run, await run.forecast(opened.router, order.request, opened.pool)

    # ---- hearing how it was -------------------------------------------------------------------

    def feedback(self, run: str, feedback: Feedback) -> Heard:
        """Afterwards what is said of the answer with that id is kept, and a router that learns has learned from it.

        Only where the store that the run was made with is this committee's own is anything known of the run.
        Raises `StoreError`, and `ConfigError` for members that there are none of.
        """
        self._check_sync("afeedback")
        return self._door.run(self._heard(run, feedback))

    async def afeedback(self, run: str, feedback: Feedback) -> Heard:
        """See `feedback`."""
        return await self._here(self._heard(run, feedback))

    async def astore(self) -> Store:
        """What outlives a request: the configured database, or this process's memory. Raises `StoreError`."""
        return await self._here(self._own.store())

    async def _heard(self, run: str, feedback: Feedback) -> Heard:
        checked(run, "a run's id")
        for member in (feedback.preferred, feedback.over):
            if member is not None and member not in self.config.members:
                raise ConfigError(f"{member!r} is not among the members {list(self.config.members)!r}")
        return await hear(run, feedback, self.config.methods, await self._own.store())

    # ---- where it happens ---------------------------------------------------------------------

    def _check_sync(self, instead: str) -> None:
        if self._native is not None:
            raise ConfigError(
                f"this committee lives on an event loop (async with): use 'await committee.{instead}(...)'"
            )

    async def _here(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` on the loop this committee lives on."""
        if self._native is None:
            return await self._door.bridge(work)
        if self._native is not asyncio.get_running_loop():
            work.close()
            raise ConfigError("this committee lives on another event loop: use it where 'async with' entered it")
        return await work

    async def _stream(self, order: _Order) -> AsyncGenerator[StreamItem | Answer]:
        channel = Channel()
        task = asyncio.ensure_future(self._answer(order, channel))
        task.add_done_callback(lambda _: channel.close())  # a request that failed early has no run to do it
        try:
            async for item in channel:
                yield item
            yield await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # who left before the end is not told, and nobody else is to be

    async def _bridged(self, order: _Order) -> AsyncGenerator[StreamItem | Answer]:
        """The stream of the background loop, fetched one item at a time, so that a slow reader holds it back."""
        stream = self._stream(order)
        turn = asyncio.Lock()  # of the other loop: a step that was cancelled ends before the stream is closed

        async def step() -> StreamItem | Answer | None:
            async with turn:
                return await anext(stream, None)

        async def end() -> None:
            async with turn:
                await stream.aclose()

        try:
            while (item := await self._door.bridge(step())) is not None:
                yield item
        finally:
            await asyncio.shield(self._door.bridge(end()))

    # ---- the request --------------------------------------------------------------------------

    async def _answer(self, order: _Order, channel: Channel | None) -> Answer:
        seats = await self._own.seats(order.method.asks)
        method = await self._own.open_ahead(order.method)
        spec = (order.name, self._described(order))
        thread = await self._thread(order)
        run = LiveRun(
            order.request,
            seats,
            order.limits,
            seed=order.seed,
            channel=channel,
            cache=self._cache,
            house=self._own.house,
            method=spec,
        )
        run.thread, run.routing.store = thread, self._own.store
        return await conduct(run, method, order.name, order.on_trace)

    def _described(self, order: _Order) -> Mapping[str, Json]:
        """The method as plain data. Those that are asked again and again stay what they are: each is described once."""
        known = self._descriptions.get(id(order.method))
        if known is None:
            if len(self._descriptions) >= MOST_DESCRIPTIONS:
                self._descriptions.clear()
            known = self._descriptions[id(order.method)] = (order.method, describe("methods", order.method))
        return known[1]

    async def _thread(self, order: _Order) -> Thread:
        """What is kept of the conversation; no store is touched for a method that keeps nothing."""
        policy: Policy | None = getattr(order.method, "policy", None)
        if policy is None or policy.memoryless:
            return Alone()
        transcript = Transcript(order.request.messages, order.place.id, order.place.scope)
        try:
            store = await self._own.store()
        except StoreError as error:
            return Lost(str(error))
        judge, rule = getattr(order.method, "judge", None), getattr(order.method, "rule", "")
        described = "" if judge is None else repr(describe("judges", judge))
        return KeptThread(store, transcript, described, rule, order.place.turns)

    # ---- opening and closing ------------------------------------------------------------------

    async def aopen(self, names: Sequence[str] | None = None) -> Mapping[str, Seat]:
        """Open members ahead of the first question (all of them by default); the pool as it stands."""
        return await self._here(self._own.seats(tuple(self.config.members) if names is None else names))

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """The breaker of each member that is open, by its name; none where the committee was made without."""
        return self._own.breakers

    def close(self) -> None:
        """Close connections and loaded models. The committee opens them anew when it is asked again."""
        if self._native is not None:
            raise ConfigError("this committee lives on an event loop (async with), which closes it")
        _shut(self._door, self._own)

    def __enter__(self) -> Committee:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Committee:
        if self._native is not None or self._door.open:
            raise ConfigError("this committee is in use already: enter it before it is asked, and only once")
        self._native = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._native = None
        await self._own.close()

    def __repr__(self) -> str:
        return f"Committee(members={list(self.config.members)}, methods={list(self.config.methods)})"


def _shut(door: Door, opened: Opened) -> None:
    """Close what is open behind the door, and the door."""
    if door.is_here:  # a forgotten committee was collected by its own loop's thread
        threading.Thread(target=_shut, args=(door, opened), name="coterie-closing").start()
    elif door.open:
        door.run(opened.close())
        door.close()


async def conduct(run: LiveRun, method: Method, name: str, on_trace: TraceSink | None = None) -> Answer:
    """Carry `run` through `method` to its answer; its trace is complete however it ends."""
    status: Status = "error"
    failed = ""
    try:
        result = await method(run.request, run)
        run.answer(result)
        await run.remember(result)
        await run.keep_for_feedback(result)
        status = "answered"
    except NoAnswer as error:
        status, failed = "no_answer", str(error)
        raise
    except asyncio.CancelledError:
        status = "cancelled"
        raise
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
        raise
    finally:
        await run.give_up()
        run.finish(status, failed)
        trace = run.ledger.trace  # one, as what is read off it is kept with it
        _hand_over(trace, on_trace)
    ledger = run.ledger
    text = result.candidate.text
    return Answer(
        text,
        name,
        result.how,
        result.candidate,
        ledger.partial,
        tuple(ledger.failures),
        ledger.usage,
        trace,
        run.id,
    )


def says_something(message: Message) -> bool:
    """True for words, and for images and other parts that are no text."""
    if message.text.strip():
        return True
    return not isinstance(message.content, str) and any(part.get("type") != "text" for part in message.content)


def _check_place(place: Place) -> None:
    """Raises `ConfigError` for a place that no store could keep, whichever method is asked."""
    checked(place.scope, "a conversation's scope", blank=True)
    if place.id is not None:
        checked(place.id, "a conversation's id")
    if place.turns is not None and place.turns < 1:
        raise ConfigError(f"a conversation has at least 1 turn, not {place.turns!r}")


def _hand_over(trace: Trace, on_trace: TraceSink | None) -> None:
    """Give the trace to whoever wants it; what goes wrong there must not cost the answer."""
    try:
        if on_trace is not None:
            on_trace(trace)
    except Exception:
        log.exception("the trace of %s could not be handed over", trace.started.run)


def save_trace(path: str | os.PathLike[str]) -> TraceSink:
    """A sink that writes the trace to a file, whole or not at all."""
    target = Path(path)
    return lambda trace: trace.save(target)
