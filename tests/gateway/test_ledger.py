"""What a worker has counted outlives it, is counted once, and holds no more than numbers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coterie.config import ApiKey
from coterie.gateway.keeping import ledger
from coterie.gateway.keeping.accounts import Accounts, Used
from coterie.gateway.keys import hashed
from coterie.store import MemoryStore

TEA = ApiKey("tea", hashed("ck-1"))
LONG = ApiKey("\U0001f375" * 100, hashed("ck-2"), per="day")
SPENT = Used(calls=3, tokens=70, usd=0.125)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(ledger.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def dead() -> int:
    """A process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def die(folder: Path, dead: int) -> None:
    """As if this process had been killed and another one looked: its ledger is one of a process that has ended."""
    (folder / f"{os.getpid()}{ledger.SUFFIX}").rename(folder / f"{dead}{ledger.SUFFIX}")


@pytest.mark.parametrize("key", [TEA, LONG], ids=["tea", "long"])
def test_what_a_killed_worker_counted_is_counted_by_the_next(folder: Path, dead: int, key: ApiKey) -> None:
    killed = Accounts([TEA, LONG])
    killed[key.id].enter()
    killed[key.id].book(SPENT)
    die(folder, dead)
    heir = Accounts([TEA, LONG])
    for _ in range(2):
        heir.inherit()
        assert heir[key.id].untold == replace(SPENT, requests=1)
    die(folder, dead)
    heir = Accounts([TEA, LONG])
    heir.inherit()
    assert heir[key.id].untold == replace(SPENT, requests=1), "an heir that is killed leaves it to the next"


def test_what_the_store_knows_is_not_left_behind(folder: Path, dead: int) -> None:
    async def main() -> None:
        store, killed = MemoryStore(), Accounts([TEA])
        killed["tea"].book(SPENT)
        await killed.share(store.records)
        killed["tea"].book(Used(calls=1))
        die(folder, dead)
        heir = Accounts([TEA])
        heir.inherit()
        assert heir["tea"].untold == Used(calls=1)
        await heir.share(store.records)
        assert heir["tea"].used == SPENT + Used(calls=1)

    asyncio.run(main())


def test_living_workers_keep_their_own(folder: Path) -> None:
    parent = folder / f"{os.getppid()}{ledger.SUFFIX}"
    parent.write_bytes(b'{"place": "tea", "untold": {"requests": 1, "calls": 1, "tokens": 1, "usd": 1.0}}')
    accounts = Accounts([TEA])
    accounts.inherit()
    assert accounts["tea"].untold == Used()
    assert parent.exists()


def test_what_is_left_of_another_period_or_key_is_of_no_consequence(folder: Path, dead: int) -> None:
    now = [0.0]
    killed = Accounts([LONG, replace(TEA, id="gone")], clock=lambda: now[0])
    killed[LONG.id].book(SPENT)
    killed["gone"].book(SPENT)
    die(folder, dead)
    now[0] += 86_400.0
    heir = Accounts([LONG], clock=lambda: now[0])
    heir.inherit()
    assert heir[LONG.id].untold == Used()


def test_another_configuration_goes_on_in_the_same_ledger(folder: Path, dead: int) -> None:
    first = Accounts([TEA])
    first["tea"].book(SPENT)
    second = Accounts([TEA, LONG], first)
    second[LONG.id].book(Used(calls=1))
    die(folder, dead)
    heir = Accounts([TEA, LONG])
    heir.inherit()
    assert (heir["tea"].untold, heir[LONG.id].untold) == (SPENT, Used(calls=1))


def test_a_process_on_its_own_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ledger.FOLDER, raising=False)
    accounts = Accounts([TEA])
    accounts["tea"].book(SPENT)
    accounts.inherit()
    assert accounts["tea"].untold == SPENT


def test_the_folder_goes_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ledger.FOLDER, raising=False)
    with ledger.folder():
        where = Path(os.environ[ledger.FOLDER])
        Accounts([TEA])["tea"].book(SPENT)
        [file] = where.iterdir()
        assert (where.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
        assert b"ck-" not in file.read_bytes()
        assert hashed("ck-1").encode() not in file.read_bytes()
    assert ledger.FOLDER not in os.environ
    assert not where.exists()
