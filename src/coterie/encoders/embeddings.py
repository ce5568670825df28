"""What an endpoint answers to a request for embeddings, read with distrust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coterie.errors import MemberError
from coterie.members.openai_answer import error_message, parsed
from coterie.types import FailureKind, Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def embeddings(body: bytes, texts: int, dimensions: int | None) -> NDArray[np.float64]:
    """The vectors in an answer, in the order in which they were asked for, (texts, dimensions).

    Raises `MemberError` for whatever is not one vector of finite numbers for each text.
    """
    import numpy as np

    answer = parsed(body)
    if answer.get("error"):
        raise MemberError(f"an error with status 200: {error_message(body)}", FailureKind.HTTP)
    rows = [_vector(item) for item in _in_order(answer.get("data"), texts)]
    found = {len(row) for row in rows}
    if len(found) != 1 or (dimensions is not None and found != {dimensions}):
        wanted = "of one length" if dimensions is None else f"of {dimensions} numbers"
        raise _malformed(f"vectors of {sorted(found)!r} numbers, not {wanted}")
    return np.stack(rows)


def _in_order(data: Json, texts: int) -> Sequence[Mapping[str, Json]]:
    """The items by their index; as they stand where none has one."""
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise _malformed("no list of vectors")
    if len(data) != texts:
        raise _malformed(f"{len(data)} vectors for {texts} texts")
    places = [item.get("index") for item in data]
    if all(place is None for place in places):
        return data
    by_place = {place: item for place, item in zip(places, data, strict=True) if type(place) is int}
    if sorted(by_place) != list(range(texts)):
        raise _malformed(f"vectors that are not numbered 0 to {texts - 1}")
    return [by_place[n] for n in range(texts)]


def _vector(item: Mapping[str, Json]) -> NDArray[np.float64]:
    import numpy as np

    try:
        row = np.asarray(item.get("embedding"))
    except ValueError:
        raise _malformed("a vector with lists in it") from None
    if row.ndim != 1 or row.dtype.kind not in "fiu" or not row.size:
        raise _malformed("a vector that is no list of numbers")
    if not np.isfinite(row).all():
        raise _malformed("a vector with what is no number (NaN or infinity)")
    return row.astype(np.float64)


def _malformed(what: str) -> MemberError:
    return MemberError(f"the answer holds {what}", FailureKind.MALFORMED)
