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
from coterie.gateway import bodies, chat, messages, overrides, responses
from coterie.gateway.desk import Desk
from coterie.gateway.embeddings import Embeddings
from coterie.gateway.exchange import Endpoint
from coterie.gateway.guarded import Guarded
from coterie.gateway.keeping.books import Books
from coterie.gateway.keeping.feedback import Hears
from coterie.gateway.keeping.runs import Runs
from coterie.gateway.published import Document
from coterie.gateway.refusal import Refusal
from coterie.gateway.watching import closing, watchers
from coterie.gateway.watching.metrics import Metrics
from coterie.gateway.watching.scrape import Scrape

NOT_BUILT: Mapping[str, str] = {
    "/v1/messages/count_tokens": "only the endpoint that reads a text can count its tokens; usage has them afterwards",
    "/v1/completions": "plain completions are not served; use /v1/chat/completions",
}
"""What clients of such interfaces look for, and what they are told instead of nothing."""


def application(config: Config, desk: Desk | None = None) -> ASGIApp:
    """The gateway to a committee of `config`, as an ASGI application; at `desk`, where the server has one already."""
    desk = desk or Desk(config)

    @asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        async with closing(watching), embeddings.open(), desk.open(), Books(desk).open():
            yield

    models = _Models(desk)
    embeddings = Embeddings(desk)
    metrics = Metrics()
    runs = Runs(desk)
    watching = watchers(desk, metrics)
    routes = [
        Route("/v1/chat/completions", Endpoint(desk, chat.read), methods=["POST"]),
        Route("/v1/messages", Endpoint(desk, messages.read), methods=["POST"]),
        Route("/v1/responses", Endpoint(desk, responses.read), methods=["POST"]),
        Route("/v1/responses/{rest:path}", responses.absent, methods=["GET", "POST", "DELETE"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/runs/{id}", runs.one, methods=["GET"]),
        Route("/v1/feedback", Hears(desk, runs).posted, methods=["POST"]),
        Route("/v1/models", models.listed, methods=["GET"]),
        Route("/v1/models/{id:path}", models.one, methods=["GET"]),
        Route("/openapi.json", Document(desk).told, methods=["GET"]),
        Route("/metrics", Scrape(desk, metrics).page, methods=["GET"]),
        Route("/health/live", _live, methods=["GET"]),
        Route("/health/ready", _Ready(desk).told, methods=["GET"]),
    ]
    return Guarded(Router(routes, redirect_slashes=False, default=_absent, lifespan=life), watchers=watching)


class _Models:
    """``GET /v1/models`` and ``/v1/models/{id}``: what the caller's key may ask."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._since = int(time.time())

    async def listed(self, request: Request) -> Response:
        service = self._desk.service
        caller = service.keys.admit(request.headers)
        ids = [*(model.id for model in service.catalog), *service.config.gateway.embeddings]
        seen = [self._shown(id_) for id_ in ids if service.keys.may_see(caller, id_)]
        return bodies.json_response({"object": "list", "data": seen})

    async def one(self, request: Request) -> Response:
        """A model, and the JSON Schema of what a request may set of it."""
        service = self._desk.service
        caller = service.keys.admit(request.headers)
        id_ = request.path_params["id"]
        embeds = id_ in service.config.gateway.embeddings
        method = None if embeds else service.catalog.find(id_).method
        if not service.keys.may_see(caller, id_):
            raise Refusal(403, f"this key may not ask {id_}", code="model_not_allowed", param="model")
        more = {"members": list(method.asks), "schema": overrides.schema(method)} if method else {"embeddings": True}
        return bodies.json_response({**self._shown(id_), "coterie": more})

    def _shown(self, id_: str) -> dict[str, Any]:
        return {"id": id_, "object": "model", "created": self._since, "owned_by": "coterie"}


async def _live(_: Request) -> Response:
    return bodies.json_response({"status": "live"})


class _Ready:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def told(self, _: Request) -> Response:
        if self._desk.draining:
            return bodies.json_response({"status": "draining"}, 503)
        health = self._desk.service.health
        return bodies.json_response(health.report, 200 if health.ready else 503)


async def _absent(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    path = scope.get("path", "")
    said = NOT_BUILT.get(path.rstrip("/"), "there is nothing at this path; chat stands at /v1/chat/completions")
    raise Refusal(404, said, code="unknown_url")
