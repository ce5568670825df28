"""A forwarder without features on the gateway's own stack: the limit that the gateway is measured against.

    python benchmarks/gateway_bare.py --upstream http://127.0.0.1:PORT/v1 --port PORT

Starlette, uvicorn with uvloop and httptools, aiohttp. It knows no keys, reads no JSON and keeps nothing: bytes in,
bytes out.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

JSON = {"content-type": "application/json"}


def application(upstream: str) -> Starlette:
    """Forwards chat completions to `upstream`."""
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            sessions.append(session)
            yield

    async def forward(request: Request) -> Response:
        body = await request.body()
        answer = await sessions[0].post(f"{upstream}/chat/completions", data=body, headers=JSON)
        if answer.content_type == "text/event-stream":
            return StreamingResponse(answer.content.iter_any(), answer.status, media_type=answer.content_type)
        return Response(await answer.read(), answer.status, media_type=answer.content_type)

    async def ready(_: Request) -> Response:
        return Response(b"{}")

    return Starlette(
        routes=[Route("/v1/chat/completions", forward, methods=["POST"]), Route("/health/ready", ready)], lifespan=life
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    app = application(args.upstream)
    uvicorn.run(
        app,
        port=args.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
