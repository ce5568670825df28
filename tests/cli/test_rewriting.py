"""A configuration's text with one setting changed."""

from __future__ import annotations

import json

import pytest
import yaml

from coterie.cli.rewriting import with_setting
from coterie.errors import ConfigError

PATH = ("methods", "cheap", "decision")
NEW = {"kind": "threshold", "at": 0.25}

BLOCK = """\
# our committee
members:
  a: {engine: scripted, replies: ["x"]}   # cheap
methods:
  cheap:
    kind: route   # routes
    decision:
      # tuned by hand
      kind: threshold
      at: 0.5
    members: [a]  # for now
  # the other one
  all: {kind: vote, members: [a]}
"""


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        BLOCK.replace("    decision:\n      # tuned by hand\n      kind: threshold\n      at: 0.5\n", ""),
        BLOCK.replace(
            "    decision:\n      # tuned by hand\n      kind: threshold\n      at: 0.5\n", "    decision: best\n"
        ),
        "methods:\n  cheap: {kind: route, members: [a]}\n",
        "methods: {cheap: {kind: route, decision: {kind: best}, members: [a],}}",
        json.dumps({"methods": {"cheap": {"kind": "route", "members": ["a"]}, "é": "ü"}}, indent=2, ensure_ascii=False),
        "methods:\n  cheap:\n    kind: route\n    members:\n    - a\n    - b",
    ],
)
def test_nothing_else_changes(text: str) -> None:
    changed = with_setting(text, PATH, NEW)
    expected = yaml.safe_load(text)
    expected["methods"]["cheap"]["decision"] = NEW
    assert yaml.safe_load(changed) == expected
    assert [line for line in changed.splitlines() if "#" in line] == [line for line in text.splitlines() if "#" in line]
    assert with_setting(changed, PATH, NEW) == changed


@pytest.mark.parametrize(
    "text",
    [
        "methods: {cheap: 3}",
        "methods:\n  other: {kind: route}\n",
        "base: &b {kind: route}\nmethods:\n  cheap: *b\n  twin: *b\n",
        "methods:\n\tcheap: {}",
    ],
)
def test_what_cannot_be_changed_in_place_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="write it there yourself: decision:"):
        with_setting(text, PATH, NEW)
