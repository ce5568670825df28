"""One request to the committee on its way: what it takes is booked, what goes wrong is a refusal."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from coterie.answer import Answer
from coterie.errors import ConfigError, CoterieError, NoAnswer, RouterError, StoreError
from coterie.gateway.chat import completions
from coterie.gateway.desk.service import Service
from coterie.gateway.keeping.accounts import Used
from coterie.gateway.keeping.archive import Archive
from coterie.gateway.keys import Caller
from coterie.gateway.orders import Order
from coterie.gateway.refusal import BUSY_S, Refusal, of_no_answer
from coterie.gateway.visit import Visit
from coterie.members.choices import SIBLINGS
from coterie.run import StreamItem
from coterie.trace import Trace
from coterie.types import is_json

log = logging.getLogger("coterie.gateway")

Stream = AsyncGenerator[StreamItem | Answer]


@dataclass
class Ask:
    """One request on its way: what it takes is booked to its caller, however it ends, before the caller hears of it."""

    service: Service
    order: Order
    caller: Caller
    visit: Visit
    archive: Archive
    trace: Trace | None = None
    """Of the run that ended last."""

    def _book(self, trace: Trace) -> None:
        self.trace = trace
        self.visit.traces.append(trace)
        if self.caller.key is not None:
            self.service.keys.book(self.caller, Used.by(trace))
        self.archive.keep(trace, self.caller.id)

    async def whole(self) -> list[Answer]:
        """The answers, as many as were asked for. Raises `Refusal`."""
        if self.order.choices == 1:
            return [await self._answer(self.order)]
        tasks = [asyncio.ensure_future(self._answer(order)) for order in self._choices()]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _answer(self, order: Order) -> Answer:
        try:
            answer = await self.service.committee.aask(
                order.request, order.model.name, on_trace=self._book, **order.how
            )
        except (NoAnswer, CoterieError) as error:
            raise self.refusal(error) from None
        if order.json:
            check_json(answer)
        return answer

    def streams(self) -> list[Stream]:
        """What happens, as it happens, the answer last; as many streams as answers were asked for."""
        return [self._stream(self.order)] if self.order.choices == 1 else list(map(self._stream, self._choices()))

    def _stream(self, order: Order) -> Stream:
        made: Any = self.service.committee.astream(order.request, order.model.name, on_trace=self._book, **order.how)
        stream: Stream = made
        return stream

    def _choices(self) -> list[Order]:
        SIBLINGS.set(self.order.choices)  # a request is a task, so this ends with it
        return [_choice(self.order, n) for n in range(self.order.choices)]

    def refusal(self, error: CoterieError) -> Refusal:
        if isinstance(error, NoAnswer):
            finished = self.trace.finished if self.trace is not None else None
            return of_no_answer(error, finished.usage if finished else None, self.order.model.is_member)
        if isinstance(error, RouterError | StoreError):  # no message of theirs holds a prompt
            log.error("a request to %s failed: %s", self.order.model.id, error)
            said = "a router or the store that this model needs is out of reach"
            return Refusal(503, said, code="unavailable", retry_after_s=BUSY_S)
        if isinstance(error, ConfigError):  # it speaks of the configuration: of members, prices and files
            log.error("a request to %s failed: %s", self.order.model.id, error)
            said = f"{self.order.model.id} is not configured so that it can answer this; the gateway's log says why"
            return Refusal(500, said, code="misconfigured", spent=True)
        log.error("a request to %s failed: %s", self.order.model.id, type(error).__name__)
        return Refusal(500, f"the request failed ({type(error).__name__})", code="internal", spent=True)


def _choice(order: Order, n: int) -> Order:
    """The nth of several answers to one request: drawn with a seed of its own, so that no cache makes them one."""
    sampling = order.request.sampling
    first = random.getrandbits(31) if sampling.seed is None else sampling.seed
    seed = first + n if sampling.seed is not None else first
    return replace(order, seed=seed, request=replace(order.request, sampling=replace(sampling, seed=seed)))


def check_json(answer: Answer) -> None:
    """Raises `Refusal` for an answer that was to be JSON and is none; one that was cut short says so itself."""
    if answer.candidate.tool_calls or answer.candidate.refusal or completions.finish_reason(answer) != "stop":
        return
    if not is_json(answer.text):
        raise Refusal(502, "the answer was to be JSON and is none", code="invalid_answer", spent=True)
