"""Journals of a store that lives in this process."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from coterie.store.plain import checked, lines
from coterie.types import Entry, Json

MOST_ENTRIES = 100_000
"""Entries that are kept, of all journals together; the oldest go first."""

MOST_ENTRY_BYTES = 64 << 20
"""What they may take together, as JSON."""


@dataclass
class MemoryJournals:
    """`protocols.Journals`.

    A journal whose oldest entries went keeps the numbers of the others; when its last one went, it begins anew.
    """

    most: int = MOST_ENTRIES
    most_bytes: int = MOST_ENTRY_BYTES
    _entries: OrderedDict[tuple[str, int], str] = field(default_factory=OrderedDict)
    """JSON by space and number, oldest first."""
    _numbers: dict[str, range] = field(default_factory=dict)
    """Which entries there are of each journal that has any."""
    _bytes: int = 0

    async def append(self, space: str, entries: Sequence[Json]) -> int:
        texts = lines(entries, checked(space, "a journal's space"))
        there = self._numbers.get(space, range(1, 1))
        if not texts:
            return there.stop - 1
        last = there.stop - 1 + len(texts)
        self._numbers[space] = range(there.start, last + 1)
        self._entries.update(((space, number), text) for number, text in enumerate(texts, there.stop))
        self._bytes += sum(map(len, texts))
        while len(self._entries) > self.most or self._bytes > self.most_bytes:
            self._drop_oldest()
        return last

    async def since(self, space: str, number: int, limit: int = 1000) -> Sequence[Entry]:
        there = self._numbers.get(checked(space, "a journal's space"), range(0))
        wanted = range(max(there.start, number + 1), there.stop)[: max(0, limit)]
        return [Entry(n, json.loads(self._entries[space, n])) for n in wanted]

    async def discard(self, space: str) -> bool:
        there = self._numbers.pop(checked(space, "a journal's space"), range(0))
        self._bytes -= sum(len(self._entries.pop((space, number))) for number in there)
        return bool(there)

    def _drop_oldest(self) -> None:
        (space, number), text = self._entries.popitem(last=False)
        self._bytes -= len(text)
        self._numbers[space] = left = range(number + 1, self._numbers[space].stop)
        if not left:
            del self._numbers[space]
