"""The graph's library and ONNX Runtime in one process: whichever is wanted first, neither takes the other down."""

from __future__ import annotations

import subprocess
import sys

import pytest

from coterie.routers.graph import available

pytestmark = pytest.mark.skipif(not available(), reason="the graph needs the extra routers")
"""Not `importorskip`, which would load the library into this process, before ONNX Runtime."""

GRAPH = "import numpy as np; from coterie.routers.graph import Graph; g = Graph(4); g.add(np.eye(4, dtype=np.float32))"
ONNX = "import onnxruntime; onnxruntime.get_available_providers()"


@pytest.mark.parametrize("both", [(GRAPH, ONNX), (ONNX, GRAPH)], ids=["graph first", "onnx first"])
def test_both_load_in_any_order(both: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "; ".join(both)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
