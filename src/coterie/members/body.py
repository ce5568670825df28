"""The body of an endpoint's response, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coterie.errors import MemberError
from coterie.members.openai_answer import error_message
from coterie.types import FailureKind

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES = 64 << 20
"""A longer answer is none: an endpoint that never ends would fill the memory of everybody."""


NOT_FOLLOWED = "it redirects to another address, which is not followed: name that one as base_url"
"""It would take the conversation, and keys in headers of other names than `Authorization`, to whoever it names."""


def complaint(response: aiohttp.ClientResponse, body: bytes) -> str:
    """What a response with a status of 300 or more says of itself."""
    said = error_message(body) or response.reason or "no reason given"
    return f"HTTP {response.status}: {said if response.status >= 400 else NOT_FOLLOWED}"


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises `MemberError` for one that is too long, wherever it says so."""
    if response.content_length is not None and "Content-Encoding" not in response.headers:
        less(ANSWER_BYTES, response.content_length)
        return await response.read()
    body, left = bytearray(), ANSWER_BYTES
    async for chunk in response.content.iter_any():
        left = less(left, len(chunk))
        body += chunk
    return bytes(body)


def less(left: int, size: int) -> int:
    """How many bytes may come after so many as `size`. Raises `MemberError` for too many."""
    if size > left:
        raise MemberError(f"an answer of more than {ANSWER_BYTES >> 20} MiB", FailureKind.MALFORMED)
    return left - size
