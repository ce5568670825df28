"""The command starts with what it needs: its commands are loaded one by one, and help and completion know them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from coterie.cli.app import COMMANDS, app
from coterie.cli.commands import Commands

Json = Any


def started(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[str, set[str]]:
    """What ``coterie`` with these arguments prints, and our modules that it has loaded by its end."""
    code = (
        "import atexit, json, sys\n"
        "ours = lambda: sorted(name for name in sys.modules if name.startswith('coterie.'))\n"
        "atexit.register(lambda: print(json.dumps(ours()), file=sys.stderr))\n"
        f"sys.argv = {['coterie', *arguments]!r}\n"
        "from coterie.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """A folder with a committee of two scripted members."""
    members = {name: {"engine": "scripted", "replies": [name.title()]} for name in ("paris", "lyon")}
    best = {"kind": "best_of", "members": list(members), "judge": "length"}
    tmp_path.joinpath("coterie.json").write_text(json.dumps({"members": members, "methods": {"default": best}}))
    return tmp_path


def test_a_question_loads_nothing_that_trains_evaluates_or_fetches(scripted: Path) -> None:
    said, loaded = started(scripted, "ask", "--json", "Which city?")
    assert json.loads(said)["answer"] == "Paris"
    assert {
        name for name in loaded if name.startswith(("coterie.training", "coterie.evaluation", "coterie.weights"))
    } == set()
    others = {place.partition(":")[0] for name, place in COMMANDS.items() if name != "ask"}
    assert loaded & others == set()


def test_the_version_loads_no_command(tmp_path: Path) -> None:
    _, loaded = started(tmp_path, "--version")
    assert loaded & {place.partition(":")[0] for place in COMMANDS.values()} == set()


def test_every_command_is_what_stands_at_its_place() -> None:
    group = typer.main.get_command(app)
    assert list(group.commands) == list(COMMANDS)  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.name == name
        assert command.help
        assert hasattr(command, "commands") == COMMANDS[name].endswith(":app")


def test_a_command_is_loaded_once() -> None:
    commands = Commands(COMMANDS)
    assert commands["members"] is commands["members"]
    assert "absent" not in commands
    assert len(commands) == len(COMMANDS)


def test_a_slip_is_answered_with_the_nearest_command() -> None:
    done = CliRunner().invoke(app, ["evl"])
    assert done.exit_code == 2
    assert "Did you mean 'eval'?" in done.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [("coterie e", ["eval", "export"]), ("coterie trace re", ["replay"]), ("coterie ask --me", ["--method"])],
)
def test_completion_knows_commands_their_commands_and_options(tmp_path: Path, words: str, expected: list[str]) -> None:
    asked = {"_COTERIE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    said, _ = started(tmp_path, env=asked)
    assert said.split() == expected
