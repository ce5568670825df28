"""What a committee has open: its members, its store, and what their parts need."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from coterie.config import BreakerSettings, Config
from coterie.errors import CoterieError, RouterError, StoreError
from coterie.house import House
from coterie.methods.route import Route, Shut
from coterie.protocols import MemberSpec, Method, Opens, Store
from coterie.run import Breaker, Seat
from coterie.store import MemoryStore

log = logging.getLogger("coterie")

STORE_RETRY_S = 5.0
"""For so long nobody tries to open a store that could not be opened."""

ROUTER_RETRY_S = 5.0
"""For so long nobody tries to open a router whose encoder was out of reach."""

M = TypeVar("M", bound=Method)


class Opened:
    """The members of a committee that are open, on the one loop they live on."""

    def __init__(self, config: Config, at_once: int | None = None, breaker: BreakerSettings | None = None) -> None:
        self._config = config
        self._breaker = breaker
        self._slots = asyncio.Semaphore(at_once) if at_once else None
        """Shared by all members, where there are so few."""
        self._house: House | None = None
        self._seats: dict[str, Seat] = {}
        self._memory: Store = MemoryStore()
        self._away = ""
        """Why the store could not be opened the last time."""
        self._try_again_s = -math.inf
        self._shut: dict[tuple[Opens[Any], ...], tuple[str, float]] = {}
        """Why what a router needs could not be opened the last time, and until when nobody tries it again."""

    @property
    def house(self) -> House:
        """Where this committee keeps what is expensive."""
        if self._house is None:
            self._house = House()
        return self._house

    async def store(self) -> Store:
        """What outlives a request: the configured database, or this process's memory.

        Raises `StoreError` where it cannot be opened; then not every request waits until that is found again.
        """
        if self._config.store is None:
            return self._memory
        if time.monotonic() < self._try_again_s:
            raise StoreError(self._away)
        try:
            return await self.house.once(self._config.store)
        except StoreError as error:
            self._away, self._try_again_s = str(error), time.monotonic() + STORE_RETRY_S
            raise

    async def seats(self, names: Sequence[str]) -> Mapping[str, Seat]:
        """A seat for each of `names`, in the pool's order; one whose member could not be opened says why."""
        wanted = set(names)
        missing = [name for name in wanted if name not in self._seats]
        if missing:
            opened = await asyncio.gather(*(self._open(self._config.members[name]) for name in missing))
            for name, seat in zip(missing, opened, strict=True):
                if seat.model is not None:  # what failed is tried again with the next request
                    self._seats.setdefault(name, seat)
            fresh = dict(zip(missing, opened, strict=True))
            return {name: self._seats.get(name) or fresh[name] for name in self._config.members if name in wanted}
        return {name: self._seats[name] for name in self._config.members if name in wanted}

    async def open_ahead(self, method: M) -> M:
        """What the method's parts need is open: no deadline of a request strikes weights while they load.

        A router whose encoder is out of reach stands in the method that is returned as one that says so: it costs no
        answer. For `ROUTER_RETRY_S` nobody tries it again.
        """
        if not isinstance(method, Route):
            await asyncio.gather(*(self.house.once(spec) for spec in _opens(method)))
            return method
        await asyncio.gather(*(self.house.once(spec) for spec in _opens(replace(method, router=Shut("")))))
        opens = tuple(getattr(method.router, "opens", ()))
        why, until_s = self._shut.get(opens, ("", -math.inf))
        if time.monotonic() >= until_s:
            try:
                await asyncio.gather(*(self.house.once(spec) for spec in opens))
            except RouterError as error:
                why, until_s = str(error), time.monotonic() + ROUTER_RETRY_S
                self._shut[opens] = (why, until_s)
            else:
                self._shut.pop(opens, None)
                return method
        return replace(method, router=Shut(why))

    async def _open(self, spec: MemberSpec) -> Seat:
        try:
            model = await spec.open(self.house)
        except CoterieError as error:
            return Seat(spec.card, None, f"could not be opened: {error}", spec.timeout_s, spec.retries)
        except Exception as error:  # one member's defect must not take the others down
            log.exception("member %r could not be opened", spec.name)
            said = f"could not be opened: {type(error).__name__}: {error}"
            return Seat(spec.card, None, said, spec.timeout_s, spec.retries)
        most = model.card.max_concurrency
        slots = self._slots or (asyncio.Semaphore(most) if most else None)
        wanted = self._breaker
        breaker = Breaker(wanted.failures, wanted.window_s, wanted.rest_s) if wanted else None
        return Seat(model.card, model, "", spec.timeout_s, spec.retries, slots, breaker)

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        return {name: seat.breaker for name, seat in self._seats.items() if seat.breaker is not None}

    async def close(self) -> None:
        house, self._house = self._house, None
        self._seats.clear()
        if house is not None:
            await house.__aexit__(None, None, None)


def _opens(method: Method) -> Iterator[Opens[Any]]:
    """What a method, its parts and a method behind it need open."""
    parts = [getattr(method, name, None) for name in ("judge", "fuser", "router")]
    yield from (spec for part in parts for spec in getattr(part, "opens", ()))
    if (then := getattr(method, "then", None)) is not None:
        yield from _opens(then)
