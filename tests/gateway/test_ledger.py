"""What a process has counted outlives it, is counted once, and holds no more than numbers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from coterie.config import ApiKey
from coterie.gateway.keeping.accounts import Accounts, Used
from coterie.gateway.keeping.ledger import PAGE_BYTES, Ledger
from coterie.gateway.keys import hashed
from coterie.store import MemoryStore

TEA = ApiKey("tea", hashed("ck-1"))
LONG = ApiKey("\U0001f375" * 100, hashed("ck-2"), per="day")
SPENT = Used(calls=3, tokens=70, usd=0.125)


def begun(folder: Path, *keys: ApiKey, now: float = 0.0) -> tuple[Accounts, Ledger]:
    """The accounts of a process that has just started."""
    ledger = Ledger(folder)
    return Accounts(keys, ledger=ledger, clock=lambda: now), ledger


def heir(folder: Path, *keys: ApiKey, now: float = 0.0) -> Accounts:
    """Those of one that has counted what others left behind."""
    accounts, _ = begun(folder, *keys, now=now)
    accounts.inherit()
    return accounts


@pytest.mark.parametrize("key", [TEA, LONG], ids=["tea", "long"])
def test_what_a_killed_process_counted_is_counted_by_the_next(tmp_path: Path, key: ApiKey) -> None:
    killed, ledger = begun(tmp_path, TEA, LONG)
    killed[key.id].enter()
    killed[key.id].book(SPENT)
    ledger.close(keep=True)
    first, ledger = begun(tmp_path, TEA, LONG)
    for _ in range(2):
        first.inherit()
        assert first[key.id].untold == replace(SPENT, requests=1)
    ledger.close(keep=True)
    assert heir(tmp_path, TEA, LONG)[key.id].untold == replace(SPENT, requests=1), "an heir may be killed, too"


def test_what_the_store_knows_is_not_left_behind(tmp_path: Path) -> None:
    async def main() -> None:
        store, (killed, ledger) = MemoryStore(), begun(tmp_path, TEA)
        killed["tea"].book(SPENT)
        await killed.share(store.records)
        killed["tea"].book(Used(calls=1))
        ledger.close(keep=True)
        second = heir(tmp_path, TEA)
        assert second["tea"].untold == Used(calls=1)
        await second.share(store.records)
        assert second["tea"].used == SPENT + Used(calls=1)

    asyncio.run(main())


def test_living_processes_keep_their_own(tmp_path: Path) -> None:
    living, _ledger = begun(tmp_path, TEA)
    living["tea"].book(SPENT)
    assert heir(tmp_path, TEA)["tea"].untold == Used()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_left_of_another_period_or_key_is_of_no_consequence(tmp_path: Path) -> None:
    killed, ledger = begun(tmp_path, LONG, replace(TEA, id="gone"))
    killed[LONG.id].book(SPENT)
    killed["gone"].book(SPENT)
    ledger.close(keep=True)
    assert heir(tmp_path, LONG, now=86_400.0)[LONG.id].untold == Used()


def test_another_configuration_goes_on_in_the_same_ledger(tmp_path: Path) -> None:
    first, ledger = begun(tmp_path, TEA)
    first["tea"].book(SPENT)
    second = Accounts([TEA, LONG], first, clock=lambda: 0.0)
    second[LONG.id].book(Used(calls=1))
    ledger.close(keep=True)
    third = heir(tmp_path, TEA, LONG)
    assert (third["tea"].untold, third[LONG.id].untold) == (SPENT, Used(calls=1))


def test_a_page_of_which_a_full_disk_took_half_is_left_out(tmp_path: Path) -> None:
    killed, ledger = begun(tmp_path, TEA, LONG)
    killed[LONG.id].book(SPENT)
    killed["tea"].book(SPENT)
    ledger.close(keep=True)
    [file] = tmp_path.iterdir()
    raw = file.read_bytes()
    file.write_bytes(raw[:30].ljust(PAGE_BYTES) + raw[PAGE_BYTES:])
    second = heir(tmp_path, TEA, LONG)
    assert (second["tea"].untold, second[LONG.id].untold) == (Used(), SPENT)
    assert not file.exists()


def test_without_a_store_there_is_none() -> None:
    accounts = Accounts([TEA])
    accounts["tea"].book(SPENT)
    accounts.inherit()
    assert accounts["tea"].untold == SPENT
    accounts.close()


def test_who_ends_in_order_leaves_only_what_the_store_does_not_know(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "unwritten"
        accounts, _ = begun(folder, TEA)
        accounts["tea"].book(SPENT)
        [file] = folder.iterdir()
        assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
        assert b"ck-" not in file.read_bytes()
        assert hashed("ck-1").encode() not in file.read_bytes()
        accounts.close()
        second, _ = begun(folder, TEA)
        second.inherit()
        assert second["tea"].untold == SPENT, "the store was away when the first one ended"
        await second.share(MemoryStore().records)
        second.close()
        assert not folder.exists()

    asyncio.run(main())


def test_where_no_file_can_be_made_the_log_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    accounts, _ = begun(tmp_path / "file", TEA)
    accounts["tea"].book(SPENT)
    accounts["tea"].book(SPENT)
    accounts.inherit()
    accounts.close()
    assert accounts["tea"].untold.calls == 2 * SPENT.calls
    [record] = caplog.records
    assert "cannot be made" in record.getMessage()
