"""Names for parts: lazy, helpful about what is unknown, and ours stay ours."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from coterie import registry
from coterie.errors import ConfigError
from coterie.judges.length import Length
from coterie.members.scripted import ScriptedMember
from coterie.registry import TAG, Room

ROOMS: tuple[Room, ...] = get_args(Room)
OWN = [
    (room, name, place)
    for room in ROOMS
    for name, place in registry.known(room).items()
    if place.startswith("coterie.")
]


def in_a_fresh_process(code: str, *paths: Path) -> str:
    here = [Path(entry) for entry in sys.path if entry]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, *here]))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("room", "name", "place"), OWN, ids=[f"{room}.{name}" for room, name, _ in OWN])
def test_every_part_stands_where_the_registry_says(room: Room, name: str, place: str) -> None:
    module, _, attribute = place.partition(":")
    assert registry.find(room, name) is getattr(import_module(module), attribute)


def test_the_parts_of_the_issue_are_there() -> None:
    assert {"llama_cpp", "openai", "recorded", "scripted"} <= set(registry.known("members"))
    assert {"best_of", "peer_blend", "rank_and_fuse", "vote"} <= set(registry.known("methods"))
    assert TAG == {
        "members": "engine",
        "judges": "kind",
        "fusers": "kind",
        "policies": "kind",
        "encoders": "kind",
        "routers": "kind",
        "decisions": "kind",
        "methods": "kind",
    }


@pytest.mark.parametrize(
    ("room", "name", "hint"),
    [
        ("fusers", "nothing", ""),
        ("fusers", "agregate", "; did you mean 'aggregate'?"),
        ("members", "openay", "; did you mean 'openai'?"),
        ("methods", "", ""),
        ("judges", "Agreement", "; did you mean 'agreement'?"),
    ],
)
def test_an_unknown_name_is_answered_with_those_there_are(room: Room, name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.find(room, name)
    assert str(caught.value) == f"{name!r} is none of the {room}: {', '.join(sorted(registry.known(room)))}{hint}"


def test_a_part_knows_its_name() -> None:
    assert registry.name_of("judges", Length()) == "length"
    assert registry.name_of("members", ScriptedMember("x", ("y",))) == "scripted"


@dataclass(frozen=True)
class Length2:
    """A part that nobody registered."""


def test_a_part_made_in_code_is_named_by_its_place() -> None:
    assert registry.name_of("judges", Length2()) == f"{__name__}:Length2"
    twin = type("Length", (), {"__module__": "elsewhere"})
    assert registry.name_of("judges", twin()) == "elsewhere:Length"


def test_nothing_is_imported_until_it_is_asked_for() -> None:
    code = (
        "import sys\nfrom coterie import registry\n"
        "for room in registry.TAG: registry.known(room)\n"
        "rooms = ('coterie.members', 'coterie.judges', 'coterie.fusers', 'coterie.methods')\n"
        "print([m for m in sys.modules if m.startswith(rooms)])\n"
        "registry.find('judges', 'length')\n"
        "print(sorted(m for m in sys.modules if m.startswith(rooms)))"
    )
    assert in_a_fresh_process(code).splitlines() == ["[]", "['coterie.judges', 'coterie.judges.length']"]


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """An installed package that adds a judge, and tries to replace one of ours."""
    (tmp_path / "strangers.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Mine:\n    weight: float = 1.0\n\n\n"
        "class Length:\n    pass\n"
    )
    info = tmp_path / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[coterie.judges]\nmine = strangers:Mine\nlength = strangers:Length\n"
        "broken = nowhere:Gone\nhollow = strangers:No\n"
    )
    return tmp_path


def test_a_plugin_adds_a_part_and_cannot_replace_one_of_ours(plugins: Path) -> None:
    code = (
        "from coterie import registry\nfrom coterie.specs import build, describe\n"
        "print(sorted(registry.known('judges')))\n"
        "print(registry.find('judges', 'length').__module__)\n"
        "mine = build('judges', {'kind': 'mine', 'weight': 2})\n"
        "best = build('methods', {'kind': 'best_of', 'members': ['a'], 'judge': 'mine'})\n"
        "print(mine, describe('judges', mine), best.judge)"
    )
    assert in_a_fresh_process(code, plugins).splitlines() == [
        repr(sorted({*registry.known("judges"), "broken", "hollow", "mine"})),
        "coterie.judges.length",
        "Mine(weight=2.0) {'kind': 'mine', 'weight': 2.0} Mine(weight=1.0)",
    ]


def test_a_plugin_that_cannot_be_imported_is_named(plugins: Path) -> None:
    code = (
        "from coterie import registry\nfrom coterie.errors import ConfigError\n"
        "for name in ('broken', 'hollow'):\n"
        "    try: registry.find('judges', name)\n"
        "    except ConfigError as error: print(error)"
    )
    broken, hollow = in_a_fresh_process(code, plugins).splitlines()
    assert (
        broken == "'broken' of the judges stands at 'nowhere:Gone', which cannot be loaded: No module named 'nowhere'"
    )
    assert hollow.startswith("'hollow' of the judges stands at 'strangers:No', which cannot be loaded: ")
