"""Traces of runs, of a store that lives in this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from coterie.store.plain import checked
from coterie.types import KeptRun

MOST_RUNS = 1_000
"""Runs that are kept; the oldest go first."""

MOST_RUN_CHARS = 64 << 20
"""What their traces may take together, about."""


@dataclass
class MemoryRuns:
    """`protocols.Runs`. Nothing is written out: a trace stays what it is until somebody reads it."""

    most: int = MOST_RUNS
    most_chars: int = MOST_RUN_CHARS
    _runs: OrderedDict[str, KeptRun] = field(default_factory=OrderedDict)
    _chars: int = 0

    async def keep(self, runs: Sequence[KeptRun]) -> None:
        for run in runs:
            self.add(run)

    def add(self, run: KeptRun) -> None:
        """`keep` for one, at once."""
        if checked(run.id, "a run's id") in self._runs or run.chars > self.most_chars:
            return
        self._runs[run.id] = run
        self._chars += run.chars
        while len(self._runs) > self.most or self._chars > self.most_chars:
            self._drop_oldest()

    async def find(self, run: str, scope: str, since: float) -> KeptRun | None:
        kept = self._runs.get(run)
        return kept if kept is not None and kept.scope == scope and kept.made_at >= since else None

    def owner(self, run: str) -> str | None:
        """Whose it is; ``None`` for one that is not kept."""
        kept = self._runs.get(run)
        return None if kept is None else kept.scope

    async def after(self, run: str, limit: int = 100) -> Sequence[KeptRun]:
        return [self._runs[id_] for id_ in sorted(id_ for id_ in self._runs if id_ > run)[:limit]]

    async def drop(self, before: float) -> int:
        gone = 0
        while self._runs and next(iter(self._runs.values())).made_at < before:
            self._drop_oldest()
            gone += 1
        return gone

    def _drop_oldest(self) -> None:
        self._chars -= self._runs.popitem(last=False)[1].chars
