"""What is measured: each side as a process of its own in front of the same endpoint, one worker each."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DIRECT, BARE, OURS, LITELLM = "direct", "bare forwarder", "coterie", "LiteLLM"
KEY = "sk-of-a-benchmark"
START_S = 120.0
"""A gateway that is not ready by then does not start."""


class NotStarted(Exception):
    """A side did not start; its words say why."""


@dataclass(frozen=True)
class Side:
    """Somebody on loopback who answers chat completions."""

    name: str
    port: int
    pid: int
    cold_s: float = 0.0
    """From the start of the process to the first 200 that says it is ready."""

    def request(self, content: str, model: str = "mock", **more: Any) -> bytes:
        """A chat completion that is asked for, as bytes."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **more}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    @property
    def cpu_s(self) -> float:
        """What the process has used of processors so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mib(self) -> float:
        """Memory that the process holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Command:
    """How a side is started; ``{port}`` in its words is where it is to listen."""

    name: str
    words: Sequence[str]
    ready: str
    """The path that answers 200 once it is ready."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def started(self) -> Iterator[Side]:
        """The side, ready. Raises `NotStarted`."""
        port = free_port()
        words = [word.replace("{port}", str(port)) for word in self.words]
        with tempfile.TemporaryFile() as said:
            began = time.perf_counter()
            with subprocess.Popen(words, env={**os.environ, **self.environment}, stdout=said, stderr=said) as process:
                try:
                    self._wait(process, port, began)
                    yield Side(self.name, port, process.pid, time.perf_counter() - began)
                except NotStarted:
                    said.seek(0)  # its words may hold paths, so a page does not
                    print(said.read().decode("utf-8", "replace"), file=sys.stderr)
                    raise
                finally:
                    process.kill()

    def _wait(self, process: subprocess.Popen[bytes], port: int, began: float) -> None:
        while not is_ready(port, self.ready):
            if process.poll() is not None:
                raise NotStarted(f"{self.name} did not start: it ended with status {process.returncode}")
            if time.perf_counter() - began > START_S:
                raise NotStarted(f"{self.name} did not start: it was not ready within {START_S:g} s")
            time.sleep(0.005)


def is_ready(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            ready: bool = response.status == 200
            return ready
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def upstream() -> Iterator[Side]:
    """The endpoint, without anything before it."""
    words = [sys.executable, str(HERE / "gateway_upstream.py")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Side(DIRECT, int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


def config(port: int, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Of our gateway: members at the endpoint, and a key. Everything else is as a user gets it."""
    url = f"http://127.0.0.1:{port}/v1"
    price = {"input_usd": 0.2, "output_usd": 0.8}
    member = {"engine": "openai", "base_url": url, "model": "mock", "price": price}
    key = {"id": "benchmark", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
    made: dict[str, Any] = {
        "members": {"mock": member},
        "methods": {"default": {"kind": "vote", "members": ["mock"]}},
        "gateway": {"keys": [key]},
    }
    for name, section in (more or {}).items():
        made[name] = {**made.get(name, {}), **section}
    return made


def commands(port: int, folder: Path, more: Mapping[str, Any] | None = None) -> list[Command]:
    """The sides before the endpoint at `port`, as far as they can be had; what cannot is said. `more` is for ours."""
    path = folder / "coterie.json"  # JSON is YAML
    path.write_text(json.dumps(config(port, more)), encoding="utf-8")
    serve = [str(Path(sys.executable).with_name("coterie")), "serve", "--config", str(path), "--port", "{port}"]
    url = f"http://127.0.0.1:{port}/v1"
    bare = [sys.executable, str(HERE / "gateway_bare.py"), "--upstream", url, "--port", "{port}"]
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    return [
        Command(BARE, bare, "/health/ready", compiled),
        Command(OURS, serve, "/health/ready", compiled),
    ]


@contextmanager
def sides(wanted: Sequence[Command], direct: Side, problems: list[str]) -> Iterator[list[Side]]:
    """`direct` and the wanted sides, running. Who does not start is left out, and told in `problems`."""
    with ExitStack() as stack:
        running = [direct]
        for command in wanted:
            try:
                running.append(stack.enter_context(command.started()))
            except NotStarted as error:
                problems.append(str(error))
        yield running
