"""Bodies in and out: read within bounds, written as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic_core import to_json

from coterie.gateway.body_room import Share
from coterie.gateway.refusal import Refusal
from coterie.types import Json, encodable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_BODY_BYTES = 32 * 2**20
"""A request may be so large: several pictures, or the longest context that there is."""

BODY_S = 60.0
"""A client may take so long to send one."""


async def read(request: Request, share: Share | None = None, within_s: float = BODY_S) -> bytes:
    """The request's body, for which `share` has room. Raises `Refusal`: no JSON by its own account, too large, too
    slow, or one too many."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(415, f"the body must be application/json, not {kind[:80] or 'of no type'!r}")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(within_s):
            return await _within_bounds(request, share)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {within_s:g} s", code="body_timeout") from None


async def _within_bounds(request: Request, share: Share | None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        if share is not None:
            share.grow(len(chunk))
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> Refusal:
    return Refusal(413, f"the body is larger than {MAX_BODY_BYTES >> 20} MiB", code="request_too_large")


def encoded(value: Json) -> bytes:
    """`value` as JSON in UTF-8. Texts in it must be such that UTF-8 can hold them (`sound`)."""
    return to_json(value)


def sound(text: str) -> str:
    """`text` with halves of characters joined where both are there, and replaced where they are not."""
    if encodable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sound_json(value: Json) -> Json:
    """`value` with every text in it `sound`."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, Mapping):
        return {sound(key): sound_json(item) for key, item in value.items()}
    return [sound_json(item) for item in value] if isinstance(value, list | tuple) else value


def json_response(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(encoded(value), status, headers, "application/json")
