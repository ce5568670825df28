"""Server-sent events, as far as OpenAI-compatible endpoints use them: the data of each event, as bytes."""

from __future__ import annotations

from collections.abc import Iterator


class DataLines:
    """Cuts a byte stream into the payloads of its ``data:`` lines, however the bytes arrive.

    Lines may be of any length; comments and other fields are passed over.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The payloads that `chunk` completes."""
        searched = len(self._pending)
        self._pending += chunk
        start = 0
        while (end := self._pending.find(b"\n", max(start, searched))) >= 0:
            if payload := _payload(self._pending[start:end]):
                yield payload
            start = end + 1
        del self._pending[:start]

    def rest(self) -> Iterator[bytes]:
        """The payload of a last line that never got its newline: endpoints that just close send one."""
        if payload := _payload(self._pending):
            yield payload


def _payload(line: bytearray) -> bytes:
    return bytes(line[5:].strip()) if line.startswith(b"data:") else b""
