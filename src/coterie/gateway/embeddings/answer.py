"""What an endpoint answers to a request for embeddings, read with distrust."""

from __future__ import annotations

import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from coterie.errors import MemberError
from coterie.gateway.embeddings.request import EmbeddingRequest, Encoding
from coterie.members.openai_answer import error_message
from coterie.types import FailureKind, Json

Vector = list[float] | str
"""Numbers, or as base64 of little-endian float32."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of one request, in the order in which they were asked for, in the encoding that was."""

    vectors: Sequence[Vector]
    usage: Mapping[str, Json] | None
    """As the endpoint reported it."""

    @property
    def tokens(self) -> int | None:
        """What was read; ``None`` where the endpoint did not say."""
        for name in ("prompt_tokens", "total_tokens"):
            count = (self.usage or {}).get(name)
            if type(count) is int and count >= 0:
                return count
        return None

    @property
    def reported_usd(self) -> float | None:
        """What the endpoint itself says that it cost; few say."""
        cost = (self.usage or {}).get("cost")
        return float(cost) if isinstance(cost, int | float) and cost >= 0 else None


def embedded(body: bytes, asked: EmbeddingRequest) -> Embedded:
    """Raises `MemberError` for whatever is not one vector of finite numbers, as long as was asked, for each input."""
    try:
        answer = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise _malformed("no JSON") from None
    if not isinstance(answer, dict):
        raise _malformed("no JSON object")
    if answer.get("error"):
        raise MemberError(f"an error with status 200: {error_message(body)}", FailureKind.HTTP)
    rows = [_numbers(item.get("embedding")) for item in _in_order(answer.get("data"), asked.count)]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or (asked.dimensions is not None and lengths != {asked.dimensions}):
        wanted = "of one length" if asked.dimensions is None else f"of {asked.dimensions} numbers"
        raise _malformed(f"vectors of {sorted(lengths)!r:.80} numbers, not {wanted}")
    usage = answer.get("usage")
    vectors = [_encoded(row, asked.encoding) for row in rows]
    return Embedded(vectors, usage if isinstance(usage, dict) else None)


def _in_order(data: Json, count: int) -> Sequence[Mapping[str, Json]]:
    """The items by their index; as they stand where none has one."""
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise _malformed("no list of vectors")
    if len(data) != count:
        raise _malformed(f"{len(data)} vectors for {count} inputs")
    by_place = {item["index"]: item for item in data if type(item.get("index")) is int}
    if not any("index" in item for item in data):
        return data
    if sorted(by_place) != list(range(count)):
        raise _malformed(f"vectors that are not numbered 0 to {count - 1}")
    return [by_place[n] for n in range(count)]


def _numbers(value: Any) -> Sequence[float]:
    """Some endpoints send numbers where base64 was asked for, and the other way round."""
    if isinstance(value, str):
        value = _decoded(value)
    try:
        sound = isinstance(value, list | tuple) and bool(value) and all(map(math.isfinite, value))
    except (TypeError, OverflowError):
        sound = False
    if not sound:
        raise _malformed("a vector that is no list of finite numbers")
    numbers: Sequence[float] = value
    return numbers


def _decoded(text: str) -> Sequence[float]:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (ValueError, struct.error):
        raise _malformed("a vector that is no base64 of numbers") from None


def _encoded(row: Sequence[float], encoding: Encoding) -> Vector:
    if encoding == "float":
        return list(row)
    try:
        return binascii.b2a_base64(struct.pack(f"<{len(row)}f", *row), newline=False).decode()
    except (OverflowError, struct.error):
        raise _malformed("numbers that float32 cannot hold") from None


def _malformed(what: str) -> MemberError:
    return MemberError(f"the answer holds {what}", FailureKind.MALFORMED)
