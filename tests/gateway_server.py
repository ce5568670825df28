"""The gateway on a free port of loopback, on its own thread and loop: test support, no test.

with GatewayServer(config.load({...})) as server:
    openai.OpenAI(base_url=server.base_url, api_key="any")
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

from coterie.config import Config
from coterie.gateway.app import application
from coterie.gateway.desk import Desk
from coterie.gateway.serving import ending, settings
from coterie.gateway.serving.protocol import BoundedProtocol
from coterie.gateway.serving.server import Server


class GatewayServer:
    """Serves a committee while it is entered."""

    def __init__(self, config: Config, protocol: type[BoundedProtocol] = BoundedProtocol) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.url}/v1"
        self.desk = Desk(config)
        app = application(config, self.desk)
        how = settings(app, "127.0.0.1", self.port)
        how.http = protocol
        self._server = Server(how, self.desk, drain_s=2)
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

    @property
    def connections(self) -> int:
        """Of clients, idle ones included."""
        return len(self._server.server_state.connections)

    def replace(self, config: Config) -> None:
        """Afterwards new requests meet `config`."""
        loop = self._server.servers[0].get_loop()
        asyncio.run_coroutine_threadsafe(self.desk.replace(config), loop).result(10)

    def end(self) -> None:
        """Afterwards all requests under way have ended, as at the end of a drain."""
        loop = self._server.servers[0].get_loop()
        asyncio.run_coroutine_threadsafe(ending.end(self.desk.shift.requests), loop).result(10)

    def within(self, timeout_s: float, true: Callable[[Desk], bool]) -> bool:
        """True as soon as `true` says so of the desk; False after `timeout_s`."""
        ends = time.monotonic() + timeout_s
        while not true(self.desk):
            if time.monotonic() > ends:
                return False
            time.sleep(0.002)
        return True
