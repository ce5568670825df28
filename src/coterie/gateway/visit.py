"""A visit: one request from its arrival to its last byte, and those who watch it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from coterie.trace import Trace

if TYPE_CHECKING:
    from starlette.types import Scope

log = logging.getLogger("coterie.gateway")

_PLACE = "coterie.visit"


@dataclass
class Visit:
    """What is known of one request; who answers it fills in the rest."""

    id: str
    """Of the request, as `x-request-id` says it."""
    http_method: str
    traceparent: str = ""
    """W3C's, where the client sent one."""
    began_s: float = field(default_factory=time.perf_counter)
    route: str = ""
    """The path as it is declared, without what a client put into it; empty where there is nothing."""
    model: str = ""
    """What was asked, as the catalog names it; empty before that is known."""
    key: str = ""
    """The id of the caller's key; empty where none is needed."""
    streamed: bool = False
    status: int = 0
    """What was answered; 0 where the client was gone before."""
    code: str = ""
    """The refusal's, also of one in mid-stream."""
    first_byte_s: float | None = None
    """From the arrival to the first word of the answer, where it is streamed."""
    took_s: float = 0.0
    """From the arrival to the last byte."""
    traces: list[Trace] = field(default_factory=list)
    """Of the runs that were made for it, whether they answered or not."""

    def since_s(self) -> float:
        return time.perf_counter() - self.began_s

    def leave_in(self, scope: Scope) -> None:
        scope[_PLACE] = self

    @staticmethod
    def of(scope: Scope) -> Visit:
        visit: Visit = scope[_PLACE]
        return visit


class Watcher(Protocol):
    """Somebody who is told of visits: counts, logs, spans, what is kept of runs. It is quick, and raises nothing."""

    def arrived(self, visit: Visit) -> None:
        """Only its id, method and traceparent are known yet."""
        ...

    def left(self, visit: Visit) -> None:
        """All of it is known. Visits whose client went away come here too."""
        ...


class Audience:
    """Several watchers, none of whom can break a request: what one raises is logged once, and the others are told."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)
        self._failed: set[tuple[str, str]] = set()

    def arrived(self, visit: Visit) -> None:
        for watcher in self._watchers:
            try:
                watcher.arrived(visit)
            except Exception as error:
                self._blame(watcher, error)

    def left(self, visit: Visit) -> None:
        for watcher in self._watchers:
            try:
                watcher.left(visit)
            except Exception as error:
                self._blame(watcher, error)

    def _blame(self, watcher: Watcher, error: Exception) -> None:
        """The error's words may hold anything, so they stand nowhere."""
        who = (type(watcher).__name__, type(error).__name__)
        if who not in self._failed:
            self._failed.add(who)
            log.error("the watcher %s failed, and may have missed requests: %s", *who)
