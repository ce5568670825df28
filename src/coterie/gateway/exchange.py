"""An exchange: one request in one of the interfaces, and how its answer is told there.

An interface is a function that reads a body; what it returns knows the rest. To add one is to write that function,
its documents and its events, and to name it in `app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.requests import Request

from coterie.answer import Answer
from coterie.gateway import bodies, orders, streaming
from coterie.gateway.asking import Ask
from coterie.gateway.chat import completions
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.desk import Desk
from coterie.gateway.desk.service import Service
from coterie.gateway.event_stream import EventStream, gone
from coterie.gateway.keeping.archive import Archive
from coterie.gateway.refusal import Refusal
from coterie.gateway.streaming import Writer
from coterie.gateway.visit import Visit
from coterie.members import depth
from coterie.types import Json

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

T = TypeVar("T")


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

    def writers(self) -> Sequence[Writer]:
        """What writes the answer as events, or each of several to one request."""
        ...


GONE = "the client went away"
"""The message with which a request is cancelled whose client did."""

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
        self.desk.admission.check()
        depth.DEPTH.set(_depth(request.headers.get(depth.HEADER, "0"), self.desk.service.config.gateway.max_depth))
        with self.desk.bodies.share() as share:
            exchange = self.read(await bodies.read(request, share))
            async with self.desk.place(caller.key, receive) as service:
                ask = _ask(exchange, service, self.desk.archive, visit, request.headers)
                response = await _response(exchange, ask, visit, request)
                await response(scope, receive, send)


def _depth(said: str, most: int) -> int:
    """How deep the calls made here are. Raises `Refusal` where that is too deep."""
    if not (said.isascii() and said.isdigit() and len(said) < 4):
        raise Refusal(400, f"{depth.HEADER} is a small number, not {said!r:.20}", code="invalid_value")
    if int(said) >= most:
        raise Refusal(400, f"{said} gateways stand before this one: is one of them its own member?", code="too_deep")
    return int(said) + 1


def _ask(exchange: Exchange, service: Service, archive: Archive, visit: Visit, headers: Mapping[str, str]) -> Ask:
    asked = exchange.chat
    caller = service.keys.admit(headers)  # anew: the service may have been replaced since
    model = service.catalog.find(asked.model)
    service.keys.check(caller, model.id)
    visit.model, visit.streamed = model.id, bool(asked.stream)
    order = orders.order(asked, model, service.config, caller.id)
    return Ask(service, order, caller, visit, archive)


async def _response(exchange: Exchange, ask: Ask, visit: Visit, request: Request) -> Response | EventStream:
    warned = {**_warnings([*ask.order.warnings, *exchange.warnings]), **ask.service.keys.headers(ask.caller)}
    if exchange.chat.stream:
        return EventStream(streaming.events(ask, exchange.writers(), visit), warned)
    answers = await unless_gone(ask.whole(), request)
    headers = {**_headers(answers, visit.since_s()), **warned}
    return bodies.json_response(exchange.whole(answers), headers=headers)


async def unless_gone(work: Coroutine[Any, Any, T], request: Request) -> T:
    """What `work` returns; cancelled when the client goes away first. Raises `Refusal`."""
    task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # a request is always one
    ended = False

    def left(watch: asyncio.Future[None]) -> None:
        if not watch.cancelled():
            watch.exception()  # a connection that breaks is a client that has gone, too
            if not ended:
                task.cancel(GONE)

    watch = asyncio.ensure_future(gone(request.receive))
    watch.add_done_callback(left)
    try:
        return await work
    except asyncio.CancelledError as cancelled:
        if cancelled.args != (GONE,):
            raise
        task.uncancel()
        raise Refusal(499, GONE, code="client_closed_request") from None
    finally:
        ended = True
        watch.cancel()


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
