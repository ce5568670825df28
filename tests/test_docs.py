"""What the documents say is true: their examples run, and the pages made from the program are fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from coterie import config
from coterie.ranking import RULES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


EXAMPLES = [(page, n, block) for page in PAGES for n, block in enumerate(blocks(page, "python"), 1)]
CONFIGURATIONS = [(page, n, block) for page in PAGES for n, block in enumerate(blocks(page, "yaml"), 1)]


@pytest.mark.parametrize(("page", "block"), [pytest.param(p, b, id=f"{p.stem}-{n}") for p, n, b in EXAMPLES])
def test_every_python_example_runs(page: Path, block: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", block]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"an example of {page.name} fails:\n{done.stderr}"


@pytest.mark.parametrize(("page", "block"), [pytest.param(p, b, id=f"{p.stem}-{n}") for p, n, b in CONFIGURATIONS])
def test_every_configuration_example_is_valid(page: Path, block: str) -> None:
    made = config.loads(block, page.name, env={})
    assert "default" in made.methods


def test_the_pages_made_from_the_program_are_fresh() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_of_configuration_names_every_ranking_rule() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [rule for rule in RULES if f"`{rule}`" not in page] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [*PAGES, *sorted((ROOT / "docs" / "design").glob("*.md")), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
