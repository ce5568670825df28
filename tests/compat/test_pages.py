"""The pages about LLM-Blender: their examples run, on the small golden ranker, and what they name is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import coterie
from coterie import ranking, registry
from golden import RANKER

pytest.importorskip("torch", reason="the pages' examples need the extra torch")

ROOT = Path(__file__).parents[2]
PACKAGE = Path(coterie.__file__).parent
PAGES = [ROOT / "docs" / name for name in ("llm-blender.md", "migrating-from-llm-blender.md", "python.md")]

EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{n}")
    for page in PAGES
    for n, block in enumerate(re.findall(r"```py\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL), 1)
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_example_runs_with_a_small_ranker_in_the_published_ones_place(block: str, tmp_path: Path) -> None:
    code = block.replace("llm-blender/PairRM", str(RANKER))
    assert "llm-blender/" not in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


PAPER = PAGES[0].read_text(encoding="utf-8")


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:judges|fusers|ranking|evaluation|training|examples)/[\w/.]+)`", PAPER)
    assert len(named) > 5
    assert [name for name in named if not (PACKAGE / name).exists()] == []


def test_every_judge_and_rule_that_the_page_names_is_there() -> None:
    judges = re.findall(r"judges? ((?:`\w+`(?:, )?)+)", PAPER)
    named = {name for group in judges for name in re.findall(r"\w+", group)}
    assert named >= {"pair_ranker", "mlm_scoring", "simcls", "summareranker", "pointwise", "comparison"}
    assert named <= set(registry.known("judges"))
    assert {"max_logits", "max_wins", "unbeaten"} <= set(ranking.RULES)


def options() -> set[str]:
    """Every option of every command."""
    import typer

    from coterie.cli.app import app

    def of(command: object) -> set[str]:
        own = {name for parameter in getattr(command, "params", ()) for name in parameter.opts}
        return own.union(*(of(sub) for sub in getattr(command, "commands", {}).values()))

    return of(typer.main.get_command(app))


def test_every_option_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAPER))
    assert len(named) > 15
    assert named - options() == set()
