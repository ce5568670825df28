"""Several answers to one question out of one call, where an endpoint writes them side by side (`n`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from coterie.members.openai_answer import Gathered
from coterie.types import Json

SIBLINGS: ContextVar[int] = ContextVar("coterie.siblings", default=1)
"""How many requests that differ in their seeds alone are on their way at once, the one that looks among them."""

WAIT_S = 0.05
"""So long the first of them waits for the others: some may have gone to another member."""

Post = Callable[[Mapping[str, Json]], Awaitable[Sequence[Gathered]]]


@dataclass
class _Party:
    """Requests that are asked together."""

    places: list[asyncio.Future[Gathered | None]] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    call: asyncio.Task[None] | None = None


class Choices:
    """Gathers equal requests to one endpoint, and asks once for all of them."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._parties: dict[str, _Party] = {}

    async def one(self, payload: Mapping[str, Json]) -> Gathered | None:
        """One of the answers that a call for all siblings brought; ``None`` where it brought fewer.

        Raises `MemberError`. The call goes on as long as anybody waits for it.
        """
        key = json.dumps({name: value for name, value in payload.items() if name != "seed"}, sort_keys=True)
        party = self._parties.get(key)
        if party is None:
            party = self._parties[key] = _Party()
            party.call = asyncio.ensure_future(self._ask(key, party, payload))
        place: asyncio.Future[Gathered | None] = asyncio.get_running_loop().create_future()
        party.places.append(place)
        if len(party.places) >= SIBLINGS.get():
            self._parties.pop(key, None)  # whoever comes now belongs to another request
            party.complete.set()
        try:
            return await place
        finally:
            if all(other.done() for other in party.places) and party.call is not None:
                party.call.cancel()

    async def _ask(self, key: str, party: _Party, payload: Mapping[str, Json]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                await party.complete.wait()
        except TimeoutError:
            self._parties.pop(key, None)
        wanted = len(party.places)
        try:
            found = await self._post({**payload, "n": wanted} if wanted > 1 else payload)
        except Exception as error:
            for place in party.places:
                if not place.done():
                    place.set_exception(error)
            return
        answers = [*found[:wanted], *[None] * (wanted - len(found))]
        for place, answer in zip(party.places, answers, strict=True):
            if not place.done():
                place.set_result(answer)
