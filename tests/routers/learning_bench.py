"""What a learner needs to be tried: a house, a store, runs on them, and an encoder whose vectors can be foretold."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coterie.house import House
from coterie.prospects import Feedback, Lesson, Routed
from coterie.protocols import Learner, OpenEncoder, Store
from coterie.run import LiveRun, Seat
from coterie.store import MemoryStore
from coterie.trace import Noted
from coterie.types import Card, Price, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Words:
    """An encoder: words are hashed into places, so that texts are alike as far as they share words."""

    dimensions: int = 16

    @property
    def identity(self) -> str:
        return f"words:{self.dimensions}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenEncoder]:
        yield OpenWords(self.dimensions)


@dataclass(frozen=True)
class OpenWords:
    dimensions: int

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                found[row, zlib.crc32(word.encode()) % self.dimensions] += 1
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.where(lengths > 0, lengths, 1)
        return found


@dataclass
class Bench:
    """One process: its house, and the store that others may share."""

    store: Store = field(default_factory=MemoryStore)
    house: House = field(default_factory=House)
    prices: dict[str, Price] = field(default_factory=dict)

    def run(self, text: str = "a question", seed: int = 0, members: Sequence[str] = ("a", "b", "c")) -> LiveRun:
        cards = [Card(member, price=self.prices.get(member)) for member in members]
        seats = {card.name: Seat(card, None, "nobody is asked") for card in cards}
        run = LiveRun(Request.of(text), seats, seed=seed, house=self.house)

        async def store() -> Store:
            return self.store

        run.routing.store = store
        return run

    async def teach(self, learner: Learner, text: str, feedback: Feedback, *chosen: str, **known: float) -> None:
        """Afterwards the learner's journal holds what it makes of feedback on an answer to `text`."""
        features = await learner.features(Request.of(text), self.run(text))
        routed = Routed("m", learner.journal, chosen, features, known.get("cost_usd"), known.get("latency_s"))
        await self.store.journals.append(learner.journal, learner.entries(Lesson(routed, feedback)))


@asynccontextmanager
async def bench(store: Store | None = None, **settings: dict[str, Price]) -> AsyncIterator[Bench]:
    async with House() as house:
        yield Bench(store or MemoryStore(), house, **settings)


def notes(run: LiveRun) -> list[str]:
    """What the run has said to its reader."""
    return [event.text for event in run.ledger.events if isinstance(event, Noted)]
