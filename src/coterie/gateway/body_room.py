"""Room for bodies: how many bytes of requests are held in memory at once, those of waiting clients included."""

from __future__ import annotations

from types import TracebackType

from coterie.gateway.refusal import BUSY_S, Refusal


class BodyRoom:
    """The bytes of all bodies that have arrived, of requests that have not ended."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def share(self) -> Share:
        """The room that one request takes, to be entered: nothing yet."""
        return Share(self)


class Share:
    """One request's part of a room, given back when it is left."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._bytes = 0

    def grow(self, size: int) -> None:
        """`size` more bytes have arrived. Raises `Refusal` where there is no room for them."""
        if self._room.held_bytes + size > self._room.most_bytes:
            said = "the gateway holds as many bytes of requests as it takes"
            raise Refusal(503, said, code="overloaded", retry_after_s=BUSY_S)
        self._room.held_bytes += size
        self._bytes += size

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.held_bytes -= self._bytes
