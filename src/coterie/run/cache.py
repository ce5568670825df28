"""The response cache: equal requests to one member are answered from memory, where the user wants that."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Protocol

from coterie.types import Completion, Request, Scores, Usage


class Cache(Protocol):
    """Where a run looks before it asks a member, and puts what it got."""

    def get(self, member: str, request: Request) -> Completion | None:
        """The completion for an equal earlier request; ``None`` where there is none."""
        ...

    def put(self, member: str, request: Request, completion: Completion) -> None: ...

    def get_scores(self, member: str, request: Request, texts: tuple[str, ...]) -> Scores | None:
        """The scores of the same texts under an equal earlier request."""
        ...

    def put_scores(self, member: str, request: Request, texts: tuple[str, ...], scores: Scores) -> None: ...


@dataclass
class ResponseCache:
    """The last `entries` completions, each for `ttl_s` seconds.

    Sampled text is cached like any other: an equal request gets an equal answer as long as it lives.
    """

    entries: int
    ttl_s: float
    _kept: OrderedDict[tuple[str, str], tuple[float, Completion]] = field(default_factory=OrderedDict)

    def get(self, member: str, request: Request) -> Completion | None:
        """The completion for an equal earlier request, at no usage; ``None`` when there is none any more."""
        key = (member, request.fingerprint)
        kept = self._kept.get(key)
        if kept is None or kept[0] < time.monotonic():
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return replace(kept[1], usage=Usage(), latency_s=0.0, first_piece_s=None)

    def put(self, member: str, request: Request, completion: Completion) -> None:
        """Keep `completion`; the least recently used goes when there are too many."""
        self._kept[(member, request.fingerprint)] = (time.monotonic() + self.ttl_s, completion)
        self._kept.move_to_end((member, request.fingerprint))
        while len(self._kept) > self.entries:
            self._kept.popitem(last=False)

    def get_scores(self, member: str, request: Request, texts: tuple[str, ...]) -> Scores | None:  # noqa: ARG002
        """Nothing: what is scored are other members' answers, which hardly come again."""
        return None

    def put_scores(self, member: str, request: Request, texts: tuple[str, ...], scores: Scores) -> None:
        """Keep nothing."""
