"""An endpoint for embeddings that answers at once, in a process of its own: what remains is what asking costs."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

DIMENSIONS = 384
EMBEDDING = [round(0.05 + n / 7000, 6) for n in range(DIMENSIONS)]


class Handler(BaseHTTPRequestHandler):
    """One vector, always the same, for each text."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = [{"index": n, "embedding": EMBEDDING} for n in range(len(asked["input"]))]
        body = json.dumps({"data": data}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)  # in one piece, so that nothing waits for an acknowledgement

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is told."""


def _serve(told: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.send(server.server_port)
    server.serve_forever()


@contextmanager
def mock_embeddings() -> Iterator[str]:
    """The base URL of the running endpoint."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()
