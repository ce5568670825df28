"""``GET /v1/runs/{id}``: the trace of a run, for the key that made it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.errors import StoreError
from coterie.gateway import bodies
from coterie.gateway.desk import Desk
from coterie.gateway.refusal import BUSY_S, Refusal
from coterie.types import KeptRun

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

JSON_LINES = "application/jsonl"

_ID = re.compile(r"(?:run-|chatcmpl-|resp_|msg_)?([0-9a-f]{32})")
"""A run's id, or an answer's, which every interface makes of it."""


def run_id(id_: str) -> str:
    """The run that an answer of that id came from. Raises `Refusal` (404) for what is no id of ours."""
    match = _ID.fullmatch(id_)
    if match is None:
        raise unknown()
    return f"run-{match[1]}"


def unknown() -> Refusal:
    """Another key's run looks like one that never was."""
    return Refusal(404, "no run of that id is known, or it is not known any more", code="run_not_found", param="id")


@dataclass(frozen=True)
class Runs:
    """Tells what happened in a run."""

    desk: Desk

    async def one(self, request: Request) -> Response:
        """The trace as one document, or as the lines of a trace file where the client accepts those."""
        caller = self.desk.service.keys.admit(request.headers)
        found = await self.find(request.path_params["id"], caller.id)
        if not any(found.lines()):
            said = "the trace of this run lies in another process, or went with it: only store.keep_texts keeps traces"
            raise Refusal(404, said, code="run_not_found", param="id")
        if JSON_LINES in request.headers.get("accept", ""):
            from starlette.responses import Response

            return Response("".join(f"{line}\n" for line in found.lines()), media_type=JSON_LINES)
        events = [json.loads(line) for line in found.lines()]
        return bodies.json_response(
            {
                "id": found.id,
                "object": "coterie.run",
                "created": int(found.made_at),
                "events": bodies.sound_json(events),
            }
        )

    async def find(self, id_: str, scope: str) -> KeptRun:
        """Raises `Refusal`: 404 for a run that is not known, 503 where the store is away."""
        archive = self.desk.archive
        if archive.keep_s is None:
            said = "no runs are kept here (gateway.keep_runs_h is off)"
            raise Refusal(404, said, code="run_not_found", param="id")
        run = run_id(id_)
        service = self.desk.service
        try:
            runs = (await service.committee.astore()).runs if archive.durable else None
            found = await archive.find(run, scope, runs)
        except StoreError:
            said = "the store that keeps runs is out of reach"
            raise Refusal(503, said, code="unavailable", retry_after_s=BUSY_S) from None
        if found is None:
            raise unknown()
        return found
