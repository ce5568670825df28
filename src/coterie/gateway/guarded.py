"""Around every request: an id, bounds on its headers, watchers, and an answer in due form whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from coterie.gateway import bodies
from coterie.gateway.messages import error as messages_error
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses import misfit as responses_misfit
from coterie.gateway.serving import ending
from coterie.gateway.visit import Audience, Visit, Watcher
from coterie.types import Json

log = logging.getLogger("coterie.gateway")

MAX_HEADERS = 200
MAX_HEADER_BYTES = 64 * 2**10

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

ErrorForm = Callable[[Refusal, str], Json]
"""The body of a refusal, made of it and of the request's id."""

ERROR_FORMS: Mapping[str, ErrorForm] = {
    "/v1/messages": messages_error.body,
    "/v1/responses": responses_misfit.error_body,
}
"""By the path's beginning: those of interfaces that have another form than OpenAI's."""

_ID_HEADERS = (b"x-request-id", b"request-id")
"""OpenAI's name for it, and Anthropic's: each one's client looks for its own."""


class Guarded:
    """The application that the server runs."""

    def __init__(self, router: Router, watchers: Sequence[Watcher]) -> None:
        self._router = router
        self._audience = Audience(watchers)
        self._paths: dict[Any, str] = {route.endpoint: route.path for route in router.routes}  # type: ignore[attr-defined]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        visit = _arrived(scope)
        self._audience.arrived(visit)
        try:
            await self._answered(visit, scope, receive, send)
        finally:
            visit.took_s = visit.since_s()
            visit.route = self._paths.get(scope.get("endpoint"), "")
            self._audience.left(visit)

    async def _answered(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *((name, visit.id.encode()) for name in _ID_HEADERS)]
            await send(message)

        scope["app"] = self  # so that the router raises what does not fit, instead of answering in its own words
        try:
            _check_headers(scope["headers"])
            await self._router(scope, receive, told)
        except (Exception, asyncio.CancelledError) as error:
            refusal = _refusal(error, visit.id)
            visit.code = refusal.code or str(refusal.status)
            if not visit.status:
                stated = error.headers if isinstance(error, HTTPException) else None  # a 405 names the methods there
                await _answer(refusal, visit.id, scope["path"], stated)(scope, receive, told)


def _arrived(scope: Scope) -> Visit:
    given = {name: value for name, value in scope["headers"] if name in (b"x-request-id", b"traceparent")}
    id_ = given.get(b"x-request-id", b"").decode("latin-1")
    visit = Visit(
        id_ if _REQUEST_ID.fullmatch(id_) else f"req_{secrets.token_hex(16)}",
        scope["method"],
        given.get(b"traceparent", b"").decode("latin-1"),
    )
    visit.leave_in(scope)
    return visit


def _refusal(error: BaseException, request: str) -> Refusal:
    match error:
        case Refusal():
            return error
        case asyncio.CancelledError():
            return ending.refusal(error)
        case ClientDisconnect():
            return Refusal(499, "the client went away", code="client_closed_request")
        case HTTPException(status_code=405):
            allowed = (error.headers or {}).get("Allow", "")
            return Refusal(405, f"the method is not allowed here; use {allowed}", code="method_not_allowed")
        case HTTPException():
            return Refusal(error.status_code, error.detail, code="http_error")
        case _:  # its words may hold anything, so they stand nowhere
            log.error("request %s failed: %s", request, type(error).__name__)
            return Refusal(500, f"the gateway failed; the request's id is {request}", code="internal", spent=True)


def _answer(refusal: Refusal, id_: str, path: str, stated: Mapping[str, str] | None) -> Response:
    headers = {**(stated or {}), **refusal.retry_headers}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    if refusal.status in (408, 413, 431):
        headers["connection"] = "close"  # what is still on its way is not read
    form = next((form for beginning, form in ERROR_FORMS.items() if path.startswith(beginning)), None)
    return bodies.json_response(form(refusal, id_) if form else refusal.body, refusal.status, headers)


def _check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises `Refusal` for a flood of headers."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise Refusal(431, "the headers are too many or too large", code="headers_too_large")
