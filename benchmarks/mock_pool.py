"""A pool of mock models in a process of its own, as a benchmark sees it: started, asked, and asked what it served."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mock_server import Served

SERVER = Path(__file__).with_name("mock_server.py")

Told = Mapping[str, Mapping[str, float]]
"""`mock_server.Pool.told`."""


@contextmanager
def mock_pool(scale: float = 1.0, told: Told | None = None) -> Iterator[str]:
    """A mock pool, with waits that are drawn, or told by model and stage; its base URL."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SERVER), "--scale", str(scale)]
        if told is not None:
            path = Path(folder, "told.json")
            path.write_text(json.dumps(told), encoding="utf-8")
            command += ["--told", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
            finally:
                process.kill()


def served(base_url: str) -> dict[str, list[Served]]:
    """The calls the mock served since it was last asked, by request."""
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/log") as response:
        calls = [Served(*fields) for fields in json.load(response)]
    by_tag: dict[str, list[Served]] = {}
    for call in calls:
        by_tag.setdefault(call.tag, []).append(call)
    return by_tag


def question(tag: str) -> str:
    """A question by which the mock knows its request."""
    return f"What is the capital of France, and how large is it? [request {tag}]"


def allow_sockets(wanted: int = 8192) -> None:
    """Raise the limit of open files towards `wanted`: every call under way holds a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
