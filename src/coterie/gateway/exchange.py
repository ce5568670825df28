"""An exchange: one request in one of the interfaces, and how its answer is told there.

An interface is a function that reads a body; what it returns knows the rest. To add one is to write that function,
its documents and its events, and to name it in `app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request

from coterie.answer import Answer
from coterie.gateway import bodies, completions, orders, streaming
from coterie.gateway.asking import Ask
from coterie.gateway.chat_request import ChatRequest
from coterie.gateway.desk import Desk
from coterie.gateway.event_stream import EventStream, gone
from coterie.gateway.refusal import Refusal
from coterie.gateway.service import Service
from coterie.gateway.streaming import Writer
from coterie.gateway.visit import Visit
from coterie.types import Json

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send


class Exchange(Protocol):
    """One request, read."""

    @property
    def chat(self) -> ChatRequest:
        """The same question as a chat completion: what everything behind the interfaces understands."""
        ...

    @property
    def warnings(self) -> Iterable[str]:
        """What of the request changes nothing here."""
        ...

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The document of the answer, or of several to one request."""
        ...

    def writer(self) -> Writer:
        """What writes the answer as events."""
        ...


Reader = Callable[[bytes], Exchange]
"""Raises `Refusal` that names the first field that does not fit, without quoting it."""


@dataclass(frozen=True)
class Endpoint:
    """An ASGI application that answers one interface's requests."""

    desk: Desk
    read: Reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `Refusal`, as long as nothing was answered."""
        request = Request(scope, receive)
        caller = self.desk.service.keys.admit(request.headers)
        visit = Visit.of(scope)
        visit.key = caller.id
        exchange = self.read(await bodies.read(request))
        async with self.desk.place() as service:
            ask = _ask(exchange, service, visit, request.headers)
            response = await _response(exchange, ask, visit, request)
            await response(scope, receive, send)


def _ask(exchange: Exchange, service: Service, visit: Visit, headers: Mapping[str, str]) -> Ask:
    asked = exchange.chat
    caller = service.keys.admit(headers)  # anew: the service may have been replaced since
    model = service.catalog.find(asked.model)
    service.keys.check(caller, model.id)
    visit.model, visit.streamed = model.id, bool(asked.stream)
    order = orders.order(asked, model, service.config, caller.id)
    return Ask(service.committee, order, service.keys, caller, visit)


async def _response(exchange: Exchange, ask: Ask, visit: Visit, request: Request) -> Response | EventStream:
    warned = _warnings([*ask.order.warnings, *exchange.warnings])
    if exchange.chat.stream:
        return EventStream(streaming.events(ask, exchange.writer(), visit), warned)
    answers = await _unless_gone(ask.whole(), request)
    headers = {**_headers(answers, visit.since_s()), **warned}
    return bodies.json_response(exchange.whole(answers), headers=headers)


async def _unless_gone(work: Coroutine[Any, Any, list[Answer]], request: Request) -> list[Answer]:
    """What `work` returns; cancelled when the client goes away first. Raises `Refusal`."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(gone(request.receive))
    try:
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal(499, "the client went away", code="client_closed_request")
        return task.result()
    finally:
        for running in (task, watch):
            running.cancel()
        await asyncio.wait([task, watch])


# ---- headers ----------------------------------------------------------------------------------


def _warnings(warnings: Sequence[str]) -> dict[str, str]:
    """Names of parameters are the client's words: what a header cannot hold is left out of it."""
    said = "; ".join(warnings)
    return {"x-coterie-warnings": "".join(c if " " <= c <= "~" else "?" for c in said[:1000])} if said else {}


def _headers(answers: Sequence[Answer], took_s: float) -> Mapping[str, str]:
    """What the answer took. The overhead is what of the time no member was waited for."""
    path_s = max(answer.timing.critical_path_s for answer in answers)
    headers = {
        "x-coterie-run-id": answers[0].id,
        "x-coterie-calls": str(sum(answer.usage.calls for answer in answers)),
        "x-coterie-overhead-ms": f"{max(0.0, took_s - path_s) * 1000:.3f}",
    }
    if (cost := completions.cost_usd(answers)) is not None:
        headers["x-coterie-cost-usd"] = f"{cost:.8f}"
    return headers
