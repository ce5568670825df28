"""What outlives a request: conversations, and the records and journals that workers share.

`Database` says where; opening it gives a `protocols.Store`. `docs/design/0003-the-store.md` says why it is as it is.
"""

from coterie.store.database import Database
from coterie.store.memory import MemoryStore

__all__ = ["Database", "MemoryStore"]
