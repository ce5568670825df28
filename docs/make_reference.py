"""Writes docs/command-line.md and docs/configuration.schema.json from the program itself, so that they cannot go stale.

`--check` only says whether they are fresh: exit status 1 when they are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent

COMMANDS = (
    (),
    ("ask",),
    ("batch",),
    ("chat",),
    ("route",),
    ("feedback",),
    ("serve",),
    ("keys", "create"),
    ("init",),
    ("members",),
    ("methods",),
    ("config", "check"),
    ("config", "schema"),
    ("models", "list"),
    ("models", "pull"),
    ("models", "path"),
    ("models", "remove"),
    ("train", "pair-ranker"),
    ("train", "pointwise-ranker"),
    ("train", "fuser"),
    ("train", "router"),
    ("train", "router", "knn"),
    ("eval", "rank"),
    ("eval", "fuser"),
    ("eval", "router"),
    ("eval", "convqa"),
    ("eval", "ablate"),
    ("export", "pair-ranker"),
    ("calibrate", "reviewers"),
    ("calibrate", "router"),
    ("trace", "show"),
    ("trace", "replay"),
)


def help_of(command: tuple[str, ...]) -> str:
    """What ``--help`` prints, at a fixed width."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    call = [sys.executable, "-m", "coterie.cli.app", *command, "--help"]
    printed = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return printed.replace("python -m coterie.cli.app", "coterie").rstrip()


def command_line() -> str:
    parts = ["# The command line\n\nMade from the program by `make docs`.\n"]
    for command in COMMANDS:
        parts.append(f"## coterie {' '.join(command)}\n".replace(" \n", "\n"))
        parts.append(f"```text\n{help_of(command)}\n```\n")
    return "\n".join(parts)


def schema() -> str:
    from coterie.schema import of_config

    return json.dumps(of_config(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    pages = {DOCS / "command-line.md": command_line(), DOCS / "configuration.schema.json": schema()}
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for page in stale:
            print(f"{page.name} is stale: run make docs", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for page in stale:
        page.write_text(pages[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
