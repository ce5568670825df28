"""What `import coterie` gives, and what it does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import coterie

PACKAGE = Path(coterie.__file__).parent

HEAVY = (
    "aiohttp",
    "alembic",
    "onnxruntime",
    "pydantic",
    "sqlalchemy",
    "yaml",
    "torch",
    "transformers",
    "numpy",
    "xllamacpp",
    "typer",
    "rich",
    "jinja2",
)
OF_THE_COMMAND = ("aiohttp", "pydantic", "rich.live", "torch", "transformers", "numpy", "xllamacpp", "jinja2")


def loaded(statement: str) -> set[str]:
    """Every module that a fresh process has after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_sorted_and_said_once() -> None:
    assert coterie.__all__ == sorted(set(coterie.__all__))
    assert dir(coterie) == coterie.__all__


@pytest.mark.parametrize("name", coterie.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(coterie, name)
    assert value is getattr(coterie, name)
    if isinstance(value, type | types.FunctionType):
        assert value.__name__ == name
        assert value.__module__.startswith("coterie.")
        assert (value.__doc__ or "").strip()


def test_everything_can_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from coterie import *", names)
    assert set(coterie.__all__) <= set(names)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'coterie' has no attribute 'Comittee'"):
        _ = coterie.Comittee
    with pytest.raises(ImportError):
        exec("from coterie import Comittee")


def test_the_version_is_a_version() -> None:
    assert coterie.__version__.split(".")[0].isdecimal()


@pytest.mark.parametrize(
    "statement",
    [
        "import coterie",
        "import coterie.committee",
        "import coterie.config",
        "import coterie.trace",
        "import coterie.replays",
        "import coterie.registry",
        "from coterie import Committee, ScriptedMember, PeerBlend, Limits, Trace, replay",
    ],
)
def test_importing_it_loads_nothing_heavy(statement: str) -> None:
    assert sorted(loaded(statement) & set(HEAVY)) == []


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    assert {name for name in loaded("import coterie") if name.startswith("coterie")} == {"coterie", "coterie._version"}


def test_importing_the_command_loads_nothing_heavy() -> None:
    assert sorted(loaded("import coterie.cli.app") & set(OF_THE_COMMAND)) == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.name == "_version.py"
