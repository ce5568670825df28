"""``coterie serve`` as processes: test support, no test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def within(timeout_s: float, true: Callable[[], bool]) -> bool:
    """True as soon as `true` is; False after `timeout_s`."""
    ends = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """True once the gateway that is to be served there says so."""
    assert process.poll() is None, "it ended at once"
    with suppress(httpx2.TransportError):
        return httpx2.get(f"{url}/health/ready", timeout=5, verify=False).status_code == 200
    return False


class GatewayProcess:
    """Serves `config` (YAML) from a file while it is entered. Everything that it started has ended afterwards."""

    def __init__(self, folder: Path, config: str, *options: str) -> None:
        self.file = folder / "coterie.yaml"
        self.file.write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "stderr"
        command = (sys.executable, "-m", "coterie.cli.app", "serve", "--config", str(self.file), "--log", "off")
        self._command = (*command, "--port", str(self.port), *options)
        self._workers: set[int] = set()

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            own = {**os.environ, "TMPDIR": str(self.file.parent)}  # it is killed, and clears up nothing
            self.process = subprocess.Popen(self._command, stderr=log, env=own)
        assert within(20, self._ready), self.log
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.update(self.workers)
        self.process.kill()
        self.process.wait()
        for worker in self._workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def _ready(self) -> bool:
        return is_ready(self.process, self.url)

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text()

    @property
    def workers(self) -> list[int]:
        """The processes that it forked and that are alive."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = [int(pid) for pid in path.read_text().split()]
        except FileNotFoundError:
            return []
        self._workers.update(found)
        return found

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def get(self, path: str, key: str = "") -> httpx2.Response:
        return httpx2.get(self.url + path, headers=_header(key), timeout=5, verify=False)

    def ask(self, model: str = "a", *, stream: bool = False, timeout_s: float = 15.0, key: str = "") -> httpx2.Response:
        """The answer, over a connection of its own."""
        asked = {"model": model, "messages": [{"role": "user", "content": "?"}], "stream": stream}
        url = f"{self.url}/v1/chat/completions"
        return httpx2.post(url, json=asked, headers=_header(key), timeout=timeout_s, verify=False)

    def says(self, model: str = "a") -> str:
        content: str = self.ask(model).json()["choices"][0]["message"]["content"]
        return content


def _header(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


@dataclass
class Asking:
    """Requests on threads of their own, and what became of them, in the order in which they were begun."""

    server: GatewayProcess
    threads: list[threading.Thread] = field(default_factory=list)
    outcomes: dict[int, Any] = field(default_factory=dict)

    def begin(self, model: str = "a", **how: Any) -> None:
        number = len(self.threads)

        def ask() -> None:
            try:
                self.outcomes[number] = self.server.ask(model, **how)
            except httpx2.TransportError as error:
                self.outcomes[number] = error

        self.threads.append(threading.Thread(target=ask, daemon=True))
        self.threads[-1].start()

    def ended(self, timeout_s: float = 20.0) -> list[Any]:
        ends = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, ends - time.monotonic()))
        assert len(self.outcomes) == len(self.threads), "requests are still under way"
        return [self.outcomes[number] for number in sorted(self.outcomes)]


@contextmanager
def load(server: GatewayProcess, model: str, clients: int) -> Iterator[list[Any]]:
    """While it is entered, so many clients ask again and again, each over a connection of its own; the outcomes."""
    outcomes: list[Any] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                outcomes.append(server.ask(model))
            except httpx2.TransportError as error:
                outcomes.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        over.set()
        for thread in threads:
            thread.join(20)


def events(response: httpx2.Response) -> list[Any]:
    """The documents of a stream, ``[DONE]`` as it is."""
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) if one != "[DONE]" else one for one in data]
