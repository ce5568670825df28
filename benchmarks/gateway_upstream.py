"""The endpoint behind the gateways: answers at once, whole or in chunks that say when they were sent.

    python benchmarks/gateway_upstream.py            # prints its port

A stream has 64 chunks, or as many as the model's name says (``chunks-8``), `CHUNK_S` apart. Each chunk's text holds the
machine's clock at the moment it was sent, so that a client on the same machine knows how long it was on its way. Models
named after a fault make that fault.
"""

from __future__ import annotations

import asyncio
import json
import re
import time

from http_connection import STREAM_END, STREAM_HEAD, HttpConnection, chunk, response, serve

CHUNKS = 64
CHUNK_S = 0.002

_MODEL = re.compile(rb'"model": ?"([^"]*)"')
_STREAM = re.compile(rb'"stream": ?true')
_CHUNKS = re.compile(rb"chunks-(\d+)")

TEXT = (
    "The capital of France is Paris. It lies on the Seine in the north of the country and has been the seat of "
    "government for most of the time since the tenth century. "
) * 4
USAGE = '"usage":{"prompt_tokens":250,"completion_tokens":128,"total_tokens":378}'
ERROR = b'{"error":{"message":"as told","type":"server_error","param":null,"code":null}}'

JSON = b"application/json"
FAULTS = {
    b"fault-429": response(JSON, ERROR, b"429 Too Many Requests\r\nRetry-After: 0\r\nx-should-retry: false"),
    b"fault-500": response(JSON, ERROR, b"500 Internal Server Error\r\nx-should-retry: false"),
    b"fault-html": response(b"text/html", b"<html>maintenance</html>"),
    b"fault-json": response(JSON, b'{"choices": [{"mess'),
    b"fault-cut": response(JSON, b'{"choices": []}')[:-8],
}
"""What is sent instead of an answer. After one that is cut short the connection is closed."""


def whole(model: str) -> bytes:
    """A complete answer."""
    return response(
        JSON,
        (
            f'{{"id":"mock","object":"chat.completion","created":1,"model":"{model}","choices":[{{"index":0,"message":'
            f'{{"role":"assistant","content":{json.dumps(TEXT)}}},"logprobs":null,"finish_reason":"stop"}}],{USAGE}}}'
        ).encode(),
    )


def event(model: str, choices: str) -> bytes:
    head = f'"id":"mock","object":"chat.completion.chunk","created":1,"model":"{model}"'
    return f'data: {{{head},"choices":{choices}}}\n\n'.encode()


class Upstream(HttpConnection):
    """One connection to the endpoint."""

    def asked(self, head: bytes, body: bytes) -> None:  # noqa: ARG002
        found = _MODEL.search(body)
        model = found[1] if found else b""
        if model in FAULTS:
            self.transport.write(FAULTS[model])
            if model == b"fault-cut":
                self.transport.close()
        elif _STREAM.search(body):
            told = _CHUNKS.search(model)
            self._stream(model.decode(), int(told[1]) if told else CHUNKS)
        else:
            self.transport.write(whole(model.decode()))

    def _stream(self, model: str, chunks: int) -> None:
        now = self.loop.time()
        self.transport.write(STREAM_HEAD)
        self._piece(model)
        self.timers = [self.loop.call_at(now + n * CHUNK_S, self._piece, model) for n in range(1, chunks)]
        self.timers.append(self.loop.call_at(now + chunks * CHUNK_S, self._end, model))

    def _piece(self, model: str) -> None:
        said = f"word @{time.perf_counter_ns()}@ "
        choices = f'[{{"index":0,"delta":{{"content":"{said}"}},"finish_reason":null}}]'
        self.transport.write(chunk(event(model, choices)))

    def _end(self, model: str) -> None:
        end = event(model, '[{"index":0,"delta":{},"finish_reason":"stop"}]') + event(model, f"[],{USAGE}")
        self.transport.write(chunk(end + b"data: [DONE]\n\n") + STREAM_END)


def main() -> None:
    try:
        import uvloop
    except ImportError:  # it serves without, more slowly
        asyncio.run(serve(Upstream))
    else:
        uvloop.run(serve(Upstream))


if __name__ == "__main__":
    main()
