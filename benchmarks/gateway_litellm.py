"""LiteLLM's proxy in an environment of its own, made once and kept in the user's cache folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from figures import progress
from gateway_sides import KEY, LITELLM, Command, NotStarted

VERSION = "1.102.4"


def litellm(port: int, folder: Path) -> Command:
    """How its proxy is started before the endpoint at `port`, without a database. Raises `NotStarted`."""
    program = _environment() / "bin" / "litellm"
    path = folder / "litellm.json"  # JSON is YAML
    path.write_text(json.dumps(_config(port)), encoding="utf-8")
    words = [str(program), "--config", str(path), "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    return Command(LITELLM, words, "/health/readiness", {**offline, **compiled})


def _config(port: int) -> dict[str, object]:
    url = f"http://127.0.0.1:{port}/v1"
    model = {
        "model": "openai/mock",
        "api_base": url,
        "api_key": "any",
        "input_cost_per_token": 2e-7,
        "output_cost_per_token": 8e-7,
    }
    return {
        "model_list": [{"model_name": "mock", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }


def _environment() -> Path:
    place = Path(platformdirs.user_cache_dir("coterie")) / "benchmarks" / f"litellm-{VERSION}"
    if (place / "complete").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    progress(f"LiteLLM {VERSION} is installed into an environment of its own (some minutes)")
    _run([sys.executable, "-m", "venv", str(place)])
    _run([str(place / "bin" / "pip"), "install", "--quiet", f"litellm[proxy]=={VERSION}"])
    (place / "complete").touch()
    return place


def _run(words: Sequence[str]) -> None:
    """Raises `NotStarted`."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(f"{LITELLM} {VERSION} could not be installed: {type(error).__name__}") from None
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        raise NotStarted(f"{LITELLM} {VERSION} could not be installed: pip ended with status {done.returncode}")
