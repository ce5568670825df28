"""What the README promises of the gateway, done as it says: real local models, a process of its own, three lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_process import free_port, is_ready, within

README = Path(__file__).parent.parent / "README.md"

pytestmark = pytest.mark.skipif(
    os.environ.get("COTERIE_ACCEPT_GEMMA_TERMS") != "1",
    reason="the embedded committee needs Gemma's terms accepted: COTERIE_ACCEPT_GEMMA_TERMS=1",
)


def test_three_lines_point_the_official_client_at_the_embedded_committee(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    text = README.read_text(encoding="utf-8")
    assert "coterie serve --accept-gemma-terms" in text
    (lines,) = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 3
    port = free_port()
    command = [sys.executable, "-m", "coterie.cli.app", "serve", "--accept-gemma-terms", "--port", str(port)]
    with (tmp_path / "stderr").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stderr=log)
    try:
        assert within(180, lambda: is_ready(server, f"http://127.0.0.1:{port}")), (tmp_path / "stderr").read_text()
        asking = [sys.executable, "-W", "error", "-c", lines.replace("8080", str(port))]
        done = subprocess.run(asking, capture_output=True, text=True, timeout=180, check=False)
    finally:
        server.terminate()
        assert server.wait(40) == 0
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
