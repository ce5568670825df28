"""The gateway on a free port of loopback, on its own thread and loop: test support, no test.

with GatewayServer(config.load({...})) as server:
    openai.OpenAI(base_url=server.base_url, api_key="any")
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Self

import uvicorn

from coterie.config import Config
from coterie.gateway.app import application
from coterie.gateway.serving import settings


class GatewayServer:
    """Serves a committee while it is entered."""

    def __init__(self, config: Config) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.url}/v1"
        self._server = uvicorn.Server(settings(application(config), "127.0.0.1", self.port, drain_s=2))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        ends = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < ends, "the gateway did not start"
            assert self._thread.is_alive(), "the gateway ended at once"
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the gateway did not stop"
        self._socket.close()
