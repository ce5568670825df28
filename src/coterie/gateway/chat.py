"""``POST /v1/chat/completions``: one question to the committee, answered whole or as a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coterie.answer import Answer
from coterie.committee import Committee
from coterie.gateway import bodies, chat_request, chat_stream, completions, orders
from coterie.gateway.asking import Ask
from coterie.gateway.catalog import Catalog
from coterie.gateway.completions import Chunks
from coterie.gateway.event_stream import EventStream, gone
from coterie.gateway.keys import Keys
from coterie.gateway.orders import Order
from coterie.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass(frozen=True)
class Chat:
    """Answers chat completions."""

    committee: Committee
    catalog: Catalog
    keys: Keys

    async def __call__(self, request: Request) -> Response | EventStream:
        """Raises `Refusal`."""
        began_s = time.perf_counter()
        caller = self.keys.admit(request.headers)
        asked = chat_request.read(await bodies.read(request))
        model = self.catalog.find(asked.model)
        self.keys.check(caller, model.id)
        order = orders.order(asked, model, self.committee.config, caller.id)
        ask = Ask(self.committee, order, self.keys, caller)
        if asked.stream:
            return EventStream(chat_stream.events(ask, Chunks(asked.model, asked.include_usage)), _warnings(order))
        answers = await _unless_gone(ask.whole(), request)
        headers = _headers(order, answers, time.perf_counter() - began_s)
        return bodies.json_response(completions.whole(answers, asked.model), headers=headers)


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


def _warnings(order: Order) -> dict[str, str]:
    """Names of parameters are the client's words: what a header cannot hold is left out of it."""
    said = "; ".join(order.warnings)
    return {"x-coterie-warnings": "".join(c if " " <= c <= "~" else "?" for c in said[:1000])} if said else {}


def _headers(order: Order, answers: list[Answer], took_s: float) -> Mapping[str, str]:
    """What the answer took. The overhead is what of the time no member was waited for."""
    path_s = max(answer.timing.critical_path_s for answer in answers)
    headers = {
        "x-coterie-run-id": answers[0].id,
        "x-coterie-calls": str(sum(answer.usage.calls for answer in answers)),
        "x-coterie-overhead-ms": f"{max(0.0, took_s - path_s) * 1000:.3f}",
        **_warnings(order),
    }
    if (cost := completions.cost_usd(answers)) is not None:
        headers["x-coterie-cost-usd"] = f"{cost:.8f}"
    return headers
