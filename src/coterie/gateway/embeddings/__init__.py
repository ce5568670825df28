"""``POST /v1/embeddings``: requests are passed on to the endpoint that is configured under their model's name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.requests import Request

from coterie.config import BreakerSettings, EmbeddingEndpoint, GatewaySettings
from coterie.errors import MemberError, NoAnswer
from coterie.gateway import bodies
from coterie.gateway.desk import Desk
from coterie.gateway.desk.service import Service
from coterie.gateway.embeddings import request as embedding_request
from coterie.gateway.embeddings.answer import Embedded
from coterie.gateway.embeddings.call import EmbeddingCall
from coterie.gateway.embeddings.request import EmbeddingRequest
from coterie.gateway.embeddings.trace import EmbeddingTrace
from coterie.gateway.exchange import unless_gone
from coterie.gateway.keeping.accounts import Used
from coterie.gateway.keys import Caller
from coterie.gateway.refusal import Refusal, of_no_answer
from coterie.gateway.visit import Visit
from coterie.house import House
from coterie.members.openai import HttpPool
from coterie.run.breaker import Breaker
from coterie.trace import Trace
from coterie.types import Json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Embeddings:
    """An ASGI application that answers requests for embeddings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._house = House()
        self._breakers: dict[tuple[EmbeddingEndpoint, BreakerSettings], Breaker] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While it is entered, its endpoints share one pool of connections, opened when the first is asked."""
        async with self._house:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `Refusal`, as long as nothing was answered."""
        request = Request(scope, receive)
        caller = self._desk.service.keys.admit(request.headers)
        visit = Visit.of(scope)
        visit.key = caller.id
        self._desk.admission.check()
        with self._desk.bodies.share() as share:
            asked = embedding_request.read(await bodies.read(request, share))
            async with self._desk.place(caller.key, receive) as service:
                caller = service.keys.admit(request.headers)  # anew: the service may have been replaced since
                made = await unless_gone(self._asked(asked, service, caller, visit), request)
            trace = visit.traces[-1]
            headers = {**_headers(trace, visit.since_s()), **service.keys.headers(caller)}
            await bodies.json_response(_document(made, asked.model, trace), headers=headers)(scope, receive, send)

    async def _asked(self, asked: EmbeddingRequest, service: Service, caller: Caller, visit: Visit) -> Embedded:
        """Afterwards what it took is booked. Raises `Refusal`."""
        settings, limits = service.config.gateway, service.config.limits
        spec = _find(asked.model, settings.embeddings)
        service.keys.check(caller, asked.model)
        visit.model = asked.model
        session = await self._house.once(HttpPool())
        trace = EmbeddingTrace(asked.model, spec, limits)
        timeout_s = min(spec.timeout_s, limits.deadline_s)
        try:
            return await EmbeddingCall(spec, session, trace, self._breaker(spec, settings), timeout_s).ask(asked)
        except MemberError as error:
            failure = trace.failed(error)
            raise of_no_answer(NoAnswer(str(error), [failure]), failure.usage, single=True) from None
        finally:
            visit.traces.append(trace.whole)
            service.keys.book(caller, Used.by(trace.whole))
            self._desk.archive.keep(trace.whole, caller.id)

    def _breaker(self, spec: EmbeddingEndpoint, settings: GatewaySettings) -> Breaker | None:
        wanted = settings.breaker
        if wanted is None:
            return None
        if (spec, wanted) not in self._breakers:
            self._breakers[spec, wanted] = Breaker(wanted.failures, wanted.window_s, wanted.rest_s)
        return self._breakers[spec, wanted]


def _find(name: str, endpoints: Mapping[str, EmbeddingEndpoint]) -> EmbeddingEndpoint:
    if (spec := endpoints.get(name)) is not None:
        return spec
    there = ", ".join(endpoints) or "none; configure them under gateway.embeddings"
    said = f"there is no model {name[:200]!r} of embeddings; there are: {there}"
    raise Refusal(404, said, code="model_not_found", param="model")


def _document(made: Embedded, model: str, trace: Trace) -> Json:
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(made.vectors)]
    account = {"run_id": trace.started.run, "cost_usd": trace.bill.total.cost_usd}
    return {"object": "list", "data": data, "model": model, "usage": made.usage, "coterie": account}


def _headers(trace: Trace, took_s: float) -> Mapping[str, str]:
    """What the answer took. The overhead is what of the time the endpoint was not waited for."""
    call, cost_usd = next(iter(trace.calls.values())), trace.bill.total.cost_usd
    headers = {
        "x-coterie-run-id": trace.started.run,
        "x-coterie-calls": str(trace.bill.total.calls),
        "x-coterie-overhead-ms": f"{max(0.0, took_s - call.duration_s) * 1000:.3f}",
    }
    return headers if cost_usd is None else {**headers, "x-coterie-cost-usd": f"{cost_usd:.8f}"}
