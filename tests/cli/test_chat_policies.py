"""``coterie chat`` under policies: who is asked on which turn and why, what was said before, new conversations."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from http_faults import Body, FaultServer, Reply, Script

Json = Any

NAMES = ("ann", "bob", "cyd", "dan")
LIKELY = {"says ann": -3.0, "says bob": -1.0, "says cyd": -4.0, "says dan": -2.0}
"""Everybody ranks bob, dan, ann, cyd."""


def chat(folder: Path, *arguments: str, stdin: str) -> tuple[int, str, str]:
    """Exit status, and what it said on either stream."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COTERIE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "coterie.cli.app", "chat", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        cwd=folder,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def scripted(folder: Path, **more: Json) -> str:
    """A configuration of four scripted members, whose answers never change."""
    members = {n: {"engine": "scripted", "replies": [f"says {n}"], "likelihoods": LIKELY} for n in NAMES}
    methods = {
        "default": {"kind": "peer_blend", "members": list(NAMES), "top_k": 2},
        "vote": {"kind": "vote", "members": list(NAMES)},
    }
    path = folder / "committee.json"
    path.write_text(json.dumps({"members": members, "methods": methods, **more}), encoding="utf-8")
    return str(path)


def plans(said: str) -> list[str]:
    """The lines that say who was chosen."""
    return [line for line in said.splitlines() if re.search(r"\b(ranked|eliminated)$", line)]


EVERYBODY = "ann, bob, cyd, dan write and are ranked"

PLANS: Mapping[str, list[str]] = {
    "full_ranking": [f"full_ranking: {EVERYBODY}"] * 5,
    "alternate_ranking": [
        f"conversation 1, turn {turn}, alternate_ranking: "
        + (EVERYBODY if turn % 2 else "bob, dan write and nobody is ranked")
        for turn in range(1, 6)
    ],
    "dynamic_elimination": [
        f"conversation 1, turn {turn}, dynamic_elimination: "
        + (EVERYBODY if turn < 5 else "bob, dan write and are ranked; ann, cyd were eliminated")
        for turn in range(1, 6)
    ],
    "fixed_interval": [f"conversation 1, turn {turn}, fixed_interval: {EVERYBODY}" for turn in range(1, 6)],
    "first_k": ["first_k: ann, bob write and nobody is ranked"] * 5,
}


@pytest.mark.parametrize("policy", sorted(PLANS))
def test_every_policy_can_be_tried_by_its_name(tmp_path: Path, policy: str) -> None:
    status, said, complaints = chat(
        tmp_path, "-v", "--policy", policy, "--config", scripted(tmp_path), stdin="one\ntwo\nthree\nfour\nfive\n"
    )
    assert (status, complaints) == (0, "")
    assert plans(said) == PLANS[policy]


@pytest.mark.parametrize(("policy", "writing"), [("random_pick", 1), ("random_k", 2)])
def test_policies_that_draw_ask_others_turn_by_turn(tmp_path: Path, policy: str, writing: int) -> None:
    questions = "".join(f"question {n}\n" for n in range(12))
    _, said, _ = chat(tmp_path, "-v", "--policy", policy, "--config", scripted(tmp_path), stdin=questions)
    drawn = [re.fullmatch(rf"{policy}: (.*) writes? and nobody is ranked", line) for line in plans(said)]
    who = [match.group(1).split(", ") for match in drawn if match]
    assert len(who) == 12
    assert {len(names) for names in who} == {writing}
    assert len({tuple(names) for names in who}) > 1


def test_a_new_conversation_begins_anew(tmp_path: Path) -> None:
    stdin = "one\ntwo\n/new\none\ntwo\n/new\none\n"
    _, said, _ = chat(tmp_path, "-v", "--policy", "fixed_interval", "--config", scripted(tmp_path), stdin=stdin)
    kept = "bob, dan write and are ranked; ann, cyd were eliminated"
    assert plans(said) == [
        f"conversation 1, turn 1, fixed_interval: {EVERYBODY}",
        f"conversation 1, turn 2, fixed_interval: {EVERYBODY}",
        f"conversation 2, turn 1, fixed_interval: {kept}",
        f"conversation 2, turn 2, fixed_interval: {kept}",
        f"conversation 3, turn 1, fixed_interval: {kept}",
    ]


def test_conversations_are_counted_from_chat_to_chat_where_there_is_a_store(tmp_path: Path) -> None:
    config = scripted(tmp_path, store={"url": "kept.db"})
    told = [chat(tmp_path, "-v", "--policy", "fixed_interval", "--config", config, stdin="one\n") for _ in range(2)]
    assert [re.findall(r"conversation \d, turn \d", said) for _, said, _ in told] == [
        ["conversation 1, turn 1"],
        ["conversation 2, turn 1"],
    ]


def test_without_verbose_only_the_answers_are_printed(tmp_path: Path) -> None:
    _, said, _ = chat(tmp_path, "--policy", "alternate_ranking", "--config", scripted(tmp_path), stdin="one\ntwo\n")
    assert said == "says bob\nsays bob\n"


def test_a_policy_that_is_none_or_has_no_place_is_refused(tmp_path: Path) -> None:
    config = scripted(tmp_path)
    status, _, complaint = chat(tmp_path, "--policy", "alternate", "--config", config, stdin="one\n")
    assert status == 2
    assert "did you mean 'alternate_ranking'?" in complaint
    status, _, complaint = chat(
        tmp_path, "--policy", "random_pick", "--method", "vote", "--config", config, stdin="one\n"
    )
    assert status == 2
    assert "the method 'vote' takes no policy" in complaint
    status, _, complaint = chat(
        tmp_path, "--policy", "random_pick", "--method", "other", "--config", config, stdin="one\n"
    )
    assert status == 2
    assert "there is no method 'other'" in complaint


# ---- what was said before ---------------------------------------------------------------------


def remembering(name: str) -> Script:
    """A member that knows what it was told in this conversation, and nothing else."""

    def script(body: Body, nth: int) -> Reply:
        said = [message["content"] for message in body["messages"]]
        if said[-1].startswith("Several assistants answered"):
            return Reply(re.findall(r'<answer-\w+ id="1">\n(.*?)\n', said[-1], re.DOTALL)[0])
        if said[-1].startswith("You are reviewing"):
            labels = re.findall(r'<answer-\w+ id="(\w+)">', said[-1])
            return Reply(json.dumps({"scores": dict.fromkeys(labels, 3)}))
        told = [match.group(1) for words in said[:-1] if (match := re.fullmatch(r"My name is (\w+)\.", words))]
        if said[-1] == "What is my name?":
            return Reply(f"You are {told[-1]}." if told else "You have not said.")
        return Reply(f"Hello from {name}.")

    return script


@pytest.mark.parametrize(
    "policy", ["full_ranking", "alternate_ranking", "dynamic_elimination", "fixed_interval", "random_pick"]
)
def test_what_was_said_earlier_is_known_to_whoever_writes(tmp_path: Path, policy: str) -> None:
    with FaultServer({name: remembering(name) for name in NAMES}) as server:
        members = {n: {"engine": "openai", "base_url": server.base_url, "model": n, "retries": 0} for n in NAMES}
        path = tmp_path / "c.json"
        methods = {"default": {"kind": "peer_blend", "members": list(NAMES), "top_k": 2}}
        path.write_text(json.dumps({"members": members, "methods": methods}), encoding="utf-8")
        stdin = "My name is Ada.\nNice weather.\nWhat is my name?\n/new\nWhat is my name?\n"
        status, said, _ = chat(tmp_path, "--policy", policy, "--config", str(path), stdin=stdin)
        seen = [[m["role"] for m in request.body["messages"]] for request in server.requests]
    assert status == 0
    assert said.splitlines()[2:] == ["You are Ada.", "You have not said."]
    assert ["user", "assistant", "user", "assistant", "user"] in seen


def test_a_conversation_longer_than_the_windows_goes_on(tmp_path: Path) -> None:
    members = {
        name: {"engine": "scripted", "replies": [f"says {name} " + "at length " * 30], "context_tokens": 300}
        for name in NAMES
    }
    methods = {"default": {"kind": "rank_and_fuse", "members": list(NAMES), "judge": "length", "rule": "mean"}}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"members": members, "methods": methods}), encoding="utf-8")
    questions = "".join(f"question {n}\n" for n in range(8))
    status, said, complaints = chat(tmp_path, "-v", "--config", str(path), stdin=questions)
    assert (status, complaints) == (0, "")
    assert "ann read the conversation without its 6 oldest turns: more does not fit into its window" in said
