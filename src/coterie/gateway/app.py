"""The application: what stands where."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from coterie.config import Config
from coterie.gateway import bodies, chat, overrides
from coterie.gateway.catalog import Model
from coterie.gateway.desk import Desk
from coterie.gateway.exchange import Endpoint
from coterie.gateway.guarded import Guarded
from coterie.gateway.refusal import Refusal

NOT_BUILT: Mapping[str, str] = {
    "/v1/responses": "the Responses API is not served; use /v1/chat/completions",
    "/v1/messages": "the Anthropic Messages API is not served; use /v1/chat/completions",
    "/v1/embeddings": "embeddings are not served: members write text",
    "/v1/completions": "plain completions are not served; use /v1/chat/completions",
}
"""What clients of such interfaces look for, and what they are told instead of nothing."""


def application(config: Config) -> ASGIApp:
    """The gateway to a committee of `config`, as an ASGI application."""
    desk = Desk(config)

    @asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        async with desk.open():
            yield

    models = _Models(desk)
    routes = [
        Route("/v1/chat/completions", Endpoint(desk, chat.read), methods=["POST"]),
        Route("/v1/models", models.listed, methods=["GET"]),
        Route("/v1/models/{id:path}", models.one, methods=["GET"]),
        Route("/health/live", _live, methods=["GET"]),
        Route("/health/ready", _Ready(desk).told, methods=["GET"]),
    ]
    return Guarded(Router(routes, default=_absent, lifespan=life), watchers=())


class _Models:
    """``GET /v1/models`` and ``/v1/models/{id}``: what the caller's key may ask."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._since = int(time.time())

    async def listed(self, request: Request) -> Response:
        service = self._desk.service
        caller = service.keys.admit(request.headers)
        seen = [self._shown(model) for model in service.catalog if service.keys.may_see(caller, model.id)]
        return bodies.json_response({"object": "list", "data": seen})

    async def one(self, request: Request) -> Response:
        """A model, and the JSON Schema of what a request may set of it."""
        service = self._desk.service
        caller = service.keys.admit(request.headers)
        model = service.catalog.find(request.path_params["id"])
        if not service.keys.may_see(caller, model.id):
            raise Refusal(403, f"this key may not ask {model.id}", code="model_not_allowed", param="model")
        schema = overrides.schema(model.method)
        more = {"members": list(model.method.asks), "schema": schema}
        return bodies.json_response({**self._shown(model), "coterie": more})

    def _shown(self, model: Model) -> dict[str, Any]:
        return {"id": model.id, "object": "model", "created": self._since, "owned_by": "coterie"}


async def _live(_: Request) -> Response:
    return bodies.json_response({"status": "live"})


class _Ready:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def told(self, _: Request) -> Response:
        health = self._desk.service.health
        return bodies.json_response(health.report, 200 if health.ready else 503)


async def _absent(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    path = scope.get("path", "")
    said = NOT_BUILT.get(path.rstrip("/"), "there is nothing at this path; chat stands at /v1/chat/completions")
    raise Refusal(404, said, code="unknown_url")
