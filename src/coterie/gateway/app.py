"""The application: routes, what surrounds every request, and the committee that lives as long as the server."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coterie.committee import Committee
from coterie.config import Config
from coterie.gateway import bodies, overrides
from coterie.gateway.catalog import Catalog, Model
from coterie.gateway.chat import Chat
from coterie.gateway.health import Health
from coterie.gateway.keys import Keys
from coterie.gateway.refusal import Refusal

log = logging.getLogger("coterie.gateway")

MAX_HEADERS = 200
MAX_HEADER_BYTES = 64 * 2**10

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

NOT_BUILT: Mapping[str, str] = {
    "/v1/responses": "the Responses API is not served; use /v1/chat/completions",
    "/v1/messages": "the Anthropic Messages API is not served; use /v1/chat/completions",
    "/v1/embeddings": "embeddings are not served: members write text",
    "/v1/completions": "plain completions are not served; use /v1/chat/completions",
}
"""What clients of such interfaces look for, and what they are told instead of nothing."""


def application(config: Config) -> ASGIApp:
    """The gateway to a committee of `config`, as an ASGI application."""
    committee = Committee.from_config(config)
    health, keys, catalog = Health(committee), Keys(config.gateway.keys), Catalog(config)

    @asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        async with committee:
            looking = asyncio.ensure_future(health.look())
            try:
                yield
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    routes = [
        Route("/v1/chat/completions", Chat(committee, catalog, keys).__call__, methods=["POST"]),
        Route("/v1/models", _Models(catalog, keys).listed, methods=["GET"]),
        Route("/v1/models/{id:path}", _Models(catalog, keys).one, methods=["GET"]),
        Route("/health/live", _live, methods=["GET"]),
        Route("/health/ready", _Ready(health).told, methods=["GET"]),
    ]
    return Guarded(Router(routes, default=_absent, lifespan=life))


class Guarded:
    """Around every request: an id, bounds on its headers, and an answer in OpenAI's form whatever goes wrong."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id_ = _request_id(scope["headers"])
        began = False

        async def told(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", id_.encode())]
            await send(message)

        scope["app"] = self  # so that the router raises what does not fit, instead of answering in its own words
        try:
            _check_headers(scope["headers"])
            await self._app(scope, receive, told)
        except Exception as error:
            refusal = _refusal(error, id_)
            if not began:
                await _answer(refusal)(scope, receive, told)


def _refusal(error: Exception, request: str) -> Refusal:
    match error:
        case Refusal():
            return error
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


def _answer(refusal: Refusal) -> Response:
    headers = refusal.retry_headers
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    if refusal.status in (408, 413, 431):
        headers["connection"] = "close"  # what is still on its way is not read
    return bodies.json_response(refusal.body, refusal.status, headers)


def _request_id(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The client's own id where it gave one that a header can hold, else a new one."""
    given = next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), "")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{uuid4().hex}"


def _check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises `Refusal` for a flood of headers."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise Refusal(431, "the headers are too many or too large", code="headers_too_large")


class _Models:
    """``GET /v1/models`` and ``/v1/models/{id}``: what the caller's key may ask."""

    def __init__(self, catalog: Catalog, keys: Keys) -> None:
        self._catalog = catalog
        self._keys = keys
        self._since = int(time.time())

    async def listed(self, request: Request) -> Response:
        caller = self._keys.admit(request.headers)
        seen = [self._shown(model) for model in self._catalog if self._keys.may_see(caller, model.id)]
        return bodies.json_response({"object": "list", "data": seen})

    async def one(self, request: Request) -> Response:
        """A model, and the JSON Schema of what a request may set of it."""
        caller = self._keys.admit(request.headers)
        model = self._catalog.find(request.path_params["id"])
        if not self._keys.may_see(caller, model.id):
            raise Refusal(403, f"this key may not ask {model.id}", code="model_not_allowed", param="model")
        schema = overrides.schema(model.method)
        more = {"members": list(model.method.asks), "schema": schema}
        return bodies.json_response({**self._shown(model), "coterie": more})

    def _shown(self, model: Model) -> dict[str, Any]:
        return {"id": model.id, "object": "model", "created": self._since, "owned_by": "coterie"}


async def _live(_: Request) -> Response:
    return bodies.json_response({"status": "live"})


class _Ready:
    def __init__(self, health: Health) -> None:
        self._health = health

    async def told(self, _: Request) -> Response:
        return bodies.json_response(self._health.report, 200 if self._health.ready else 503)


async def _absent(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    path = scope.get("path", "")
    said = NOT_BUILT.get(path.rstrip("/"), "there is nothing at this path; chat stands at /v1/chat/completions")
    raise Refusal(404, said, code="unknown_url")
