"""Where and on what a benchmark ran, in words that a report may show: no host names and no paths."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent


def setting(packages: Sequence[str] = ()) -> Iterator[str]:
    """Lines of Markdown: hardware, versions, commit and date."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    yield f"- Hardware: {cpu()}, {cores()} cores"
    yield f"- Software: {', '.join([system(), python, *versions])}"
    yield f"- Commit: {commit()}"
    yield f"- Date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def system() -> str:
    """The operating system and its version, without what a distribution or a host adds to it."""
    return f"{platform.system()} {platform.release().partition('-')[0]}"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """The short hash of the commit, marked where sources were changed since; "unknown" outside a repository."""
    try:
        short = _git("rev-parse", "--short", "HEAD")
        return f"{short} with uncommitted changes" if _git("status", "--porcelain", "--", "../src", ".") else short
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()
