"""``GET /openapi.json``: what is served here, as OpenAPI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from coterie.gateway import bodies
from coterie.gateway.desk import Desk


@dataclass(frozen=True, eq=False)
class Document:
    """The document of the server at `desk`."""

    desk: Desk

    async def told(self, _: Request) -> Response:
        """It says nothing of the configuration but whether keys are needed, so nobody needs one for it."""
        keyed = bool(self.desk.service.keys)
        return Response(await asyncio.to_thread(_encoded, keyed), media_type="application/json")


@cache
def _encoded(keyed: bool) -> bytes:
    """Made when it is first asked for: that takes longer than any request may hold the loop."""
    from coterie.gateway.published import openapi

    return bodies.encoded(openapi.document(keyed))
