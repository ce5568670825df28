"""``store:`` in a configuration: where conversations are kept, and how what cannot be is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coterie import Committee, ConfigError, Database
from coterie.config import loads
from coterie.trace import TurnPlanned
from coterie.types import Secret

COMMITTEE = """\
members:
  a: {engine: scripted, replies: [left], likelihoods: {right: -1.0}}
  b: {engine: scripted, replies: [right], likelihoods: {left: -2.0}}
methods:
  default: {kind: peer_blend, members: [a, b], top_k: 1, policy: alternate_ranking}
"""


def test_a_store_has_settings() -> None:
    made = loads(COMMITTEE + "store: {url: a.db, keep_days: 7, keep_texts: yes, wait_s: 2}\n")
    assert made.store == Database(Secret("a.db"), 7.0, True, 2.0)
    assert loads(COMMITTEE + "store: {url: a.db, keep_days: null}\n").store == Database.at("a.db", keep_days=None)


def test_a_store_without_settings_is_a_file_of_the_users_and_no_section_is_no_store() -> None:
    assert loads(COMMITTEE + "store: {}\n").store == Database()
    assert loads(COMMITTEE + "store:\n").store is None
    assert loads(COMMITTEE).store is None


def test_an_address_comes_from_the_environment_and_is_not_printed() -> None:
    made = loads(COMMITTEE + "store: {url: '${STORE}'}\n", env={"STORE": "postgresql://me:pa55word@db/x"})
    assert made.store == Database.at("postgresql://me:pa55word@db/x")
    assert "pa55word" not in repr(made)


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("store: here", r"store: expected a mapping, not 'here'"),
        ("store: {url: 'mysql://me:pa55word@db/x'}", r"store: a store is no 'mysql' database"),
        ("store: {url: 'postgresql://me:pa55word/x@db/x'}", r"store: the PostgreSQL URL cannot be read"),
        ("store: {url: ':memory:'}", r"store: a store outlives its process"),
        ("store: {keep_days: 0}", r"store: keep_days must be greater than 0, not 0\.0"),
        ("store: {keep_days: soon}", r"store\.keep_days: should be a valid number.*, not 'soon'"),
        ("store: {wait_s: -1}", r"store: wait_s must be greater than 0"),
        ("store: {path: a.db}", r"store\.path: there is no such setting"),
        ("store: {clock: now}", r"store\.clock: there is no such setting"),
    ],
)
def test_what_is_no_store_is_refused_with_its_line_and_without_its_secrets(section: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"^configuration:6: {what}") as caught:
        loads(COMMITTEE + section + "\n")
    assert "pa55word" not in str(caught.value)


def test_a_policy_stands_in_its_method_and_misfits_are_named() -> None:
    with pytest.raises(ConfigError, match=r":5: methods\.default\.policy\.every: "):
        loads(COMMITTEE.replace("policy: alternate_ranking", "policy: {kind: alternate_ranking, every: often}"))
    with pytest.raises(ConfigError, match=r":5: methods\.default\.members: a policy takes each member once"):
        loads(COMMITTEE.replace("[a, b]", "[a, b, a]"))


def test_conversations_of_a_configured_committee_live_in_its_store(tmp_path: Path) -> None:
    file = tmp_path / "data" / "conversations.db"
    made = loads(COMMITTEE + f"store: {{url: '{file}'}}\n")

    async def ask() -> tuple[int, bool]:
        async with Committee.from_config(made) as committee:
            answer = await committee.aask("Which way?", conversation="trip")
            planned = next(answer.trace.of(TurnPlanned))
            return planned.turn, planned.plan.ranks

    assert [asyncio.run(ask()) for _ in range(3)] == [(1, True), (2, False), (3, True)]
    assert file.exists()
