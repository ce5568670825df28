"""Server-sent events, as far as OpenAI-compatible endpoints use them: the data of each event, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from coterie.errors import MemberError
from coterie.members.openai_answer import error_message
from coterie.types import FailureKind

_BOM = b"\xef\xbb\xbf"


class DataLines:
    """Cuts a byte stream into the data of its events, however the bytes arrive.

    Lines may be of any length and end in LF, CR or both; comments and other fields are passed over. An event's
    ``data:`` lines are one payload, joined by line feeds. Some endpoints leave out the empty line that ends an event,
    so a line that is an object by itself is one payload too, and so is ``[DONE]``.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        """The beginning of a line whose end is still to come."""
        self._data: list[bytes] = []
        """Of the event whose end is still to come."""
        self._open = False
        """True once that data was found to be no object by itself."""
        self._error = False
        """True in an event that calls itself an error."""
        self._begun = False
        self._cr = False
        """True where the last line ended in CR, which an LF may follow that ends no line."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The payloads that `chunk` completes. Raises `MemberError` for an event that is called ``error``."""
        for piece in chunk.splitlines(keepends=True):
            if self._cr:
                self._cr = False
                if piece == b"\n":
                    continue
            if not piece.endswith((b"\n", b"\r")):
                self._line += piece
                break
            self._cr = piece.endswith(b"\r")
            if self._line:
                self._line += piece
                piece = bytes(self._line)  # noqa: PLW2901  # the line that it is the end of
                self._line.clear()
            yield from self._take(piece)
        if len(self._data) == 1 and self._closed():
            yield from self._flush()

    def rest(self) -> Iterator[bytes]:
        """The payload of a last event that never got its end: endpoints that just close send one. Raises as `feed`."""
        yield from self._take(bytes(self._line))
        yield from self._flush()

    def _take(self, line: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if self._data and (data == b"[DONE]" or self._closed()):
                yield from self._flush()
            if data == b"[DONE]":
                yield data
            elif data:
                self._data.append(data)
        elif not line.strip():
            yield from self._flush()
            self._error = False
        elif line.startswith(b"event:"):
            yield from self._flush()
            self._error = line[6:].strip() == b"error"

    def _closed(self) -> bool:
        """True where nothing can follow in the same payload, because an object is whole."""
        if self._open:
            return False
        try:
            json.loads(self._data[0])
        except (ValueError, RecursionError):
            self._open = True
        return not self._open

    def _flush(self) -> Iterator[bytes]:
        if not self._data:
            return
        payload = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
        self._data.clear()
        self._open = False
        if self._error:
            raise MemberError(f"error in the stream: {error_message(payload)}", FailureKind.HTTP)
        yield payload
