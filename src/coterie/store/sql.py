"""The store over SQLAlchemy: opened, brought up to date, and closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from coterie.protocols import Conversations, Journals, Records, Runs
from coterie.store.address import Address
from coterie.store.conversations import SqlConversations
from coterie.store.database import Database
from coterie.store.journals import SqlJournals
from coterie.store.records import SqlRecords
from coterie.store.retention import Retention
from coterie.store.runs import SqlRuns
from coterie.store.transactions import Transactions
from coterie.store.upgrade import bring_up


@dataclass(frozen=True)
class SqlStore:
    """`protocols.Store` over tables."""

    conversations: Conversations
    records: Records
    journals: Journals
    runs: Runs


@asynccontextmanager
async def opened(database: Database, where: Address) -> AsyncIterator[SqlStore]:
    """The store at `where`, with the tables that this version knows. Raises `StoreError`."""
    transactions = Transactions(where, database.wait_s)
    try:
        await bring_up(transactions)
        retention = Retention(database.keep_days, database.clock)
        await retention.tidy(transactions)
        yield SqlStore(
            SqlConversations(transactions, retention, database.keep_texts, database.clock),
            SqlRecords(transactions, retention, database.clock),
            SqlJournals(transactions, database.clock),
            SqlRuns(transactions),
        )
    finally:
        await transactions.close()
