"""``coterie serve`` and ``coterie keys``: as processes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from typer.testing import CliRunner

from coterie import config
from coterie.cli.app import app
from coterie.errors import ConfigError
from coterie.gateway.keys import hashed

CONFIG = """
members:
  a: {engine: scripted, replies: [Paris], latency_s: 0.3}
  away: {engine: openai, base_url: "http://127.0.0.1:9/v1", model: m}
methods:
  default: {kind: vote, members: [a]}
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "coterie.cli.app", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_it_serves_until_it_is_told_to_stop_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    file, port = tmp_path / "c.yaml", free_port()
    file.write_text(CONFIG)
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command("serve", "--config", str(file), "--port", str(port)), stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            ends = time.monotonic() + 20
            while True:
                try:
                    status, said = get(f"{url}/health/ready")
                except OSError:
                    status = 0
                if status == 200:
                    break
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert said == {"status": "degraded", "members": {"a": "reachable", "away": "unreachable"}}
            assert get(f"{url}/health/live") == (200, {"status": "live"})
            body = json.dumps({"model": "a", "messages": [{"role": "user", "content": "?"}]}).encode()
            with socket.create_connection(("127.0.0.1", port)) as client:
                head = ("POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Type: application/json")
                client.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
                time.sleep(0.1)
                server.send_signal(signal.SIGTERM)
                assert client.recv(65_536).startswith(b"HTTP/1.1 200")
            server.wait(10)
        finally:
            server.kill()
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()


def test_an_address_that_others_reach_needs_keys(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    done = CliRunner().invoke(app, ["serve", "--config", str(file), "--host", "0.0.0.0"])
    assert isinstance(done.exception, ConfigError)
    assert "coterie keys create" in str(done.exception)


def test_a_key_is_shown_once_and_its_hash_fits_the_configuration() -> None:
    done = CliRunner().invoke(app, ["keys", "create", "mine"])
    key = re.search(r"ck-\S+", done.stdout)
    assert key is not None
    section = yaml.safe_load(done.stdout[done.stdout.index("gateway:") :])
    made = config.load({**yaml.safe_load(CONFIG), **section})
    assert [(k.id, k.hash) for k in made.gateway.keys] == [("mine", hashed(key[0]))]


def test_the_command_loads_no_server_before_it_serves() -> None:
    code = "import sys, coterie.cli.serve; print({'uvicorn', 'starlette', 'openai'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
