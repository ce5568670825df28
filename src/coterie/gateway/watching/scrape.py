"""``GET /metrics``: the counts, for Prometheus."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from coterie.gateway.desk import Desk
from coterie.gateway.refusal import Refusal
from coterie.gateway.watching.metrics import Metrics


@dataclass(frozen=True, eq=False)
class Scrape:
    """Tells whoever may know."""

    desk: Desk
    metrics: Metrics

    async def page(self, request: Request) -> Response:
        """Raises `Refusal`: 401 and 403 as elsewhere, 403 for a key that may not read metrics."""
        service = self.desk.service
        caller = service.keys.admit(request.headers)
        readers = service.config.gateway.metrics_keys
        if readers and caller.id not in readers:
            raise Refusal(403, "this key may not read metrics", code="metrics_not_allowed")
        text, media_type = await asyncio.to_thread(self.metrics.page, request.headers.get("accept", ""))
        return Response(text, media_type=media_type)
