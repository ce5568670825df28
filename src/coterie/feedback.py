"""Feedback on an answer: kept for whoever trains later, and told to the router that learns while it serves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from coterie.errors import ConfigError
from coterie.prospects import Feedback, Lesson, Routed
from coterie.protocols import Learner, Method, Store
from coterie.store.plain import ROUTED
from coterie.types import Json

JOURNAL = "feedback"
"""Where all feedback stands, with the run it speaks of."""


@dataclass(frozen=True)
class Heard:
    """What became of feedback."""

    learned: bool
    """True where a router has learned from it."""
    why: str = ""
    """Why none did."""
    known: bool = True
    """False where the store holds nothing of the run: no trace, and nothing that a router could learn from."""


async def hear(run: str, feedback: Feedback, methods: Mapping[str, Method], store: Store) -> Heard:
    """Afterwards the feedback is kept, and the router that chose for the run has learned from it, once.

    Feedback that says the same of the same run again changes nothing. Should the program end between keeping and
    teaching, that one lesson is lost; no lesson counts twice. Raises `StoreError`, and `ConfigError` for a run whose
    record cannot be read.
    """
    record = await store.records.get(ROUTED, run)
    if record is None:
        await store.journals.append(JOURNAL, [_kept(run, feedback)])
        why = f"{run!r} was not routed by a router that learns, or is no longer known"
        return Heard(False, why, await _has_trace(store, run))
    routed = _routed(record.value, run)
    again: list[bool] = []

    def change(value: Json) -> Json:
        if value is None:
            raise ConfigError(f"{run!r} is no longer known: it was older than the store keeps runs")
        heard = value["heard"]
        again[:] = [asdict(feedback) in heard]
        return value if again[0] else {**value, "heard": [*heard, asdict(feedback)]}

    await store.records.update(ROUTED, run, change)
    if again[0]:
        return Heard(False, "the same was said of this run before")
    await store.journals.append(JOURNAL, [_kept(run, feedback)])
    learner = _learner(routed, methods)
    if learner is None:
        return Heard(False, f"the method {routed.method!r} no longer routes with the router that chose then")
    entries = learner.entries(Lesson(routed, feedback))
    if not entries:
        return Heard(False, "it says nothing that this router learns from")
    await store.journals.append(learner.journal, entries)
    return Heard(True)


async def _has_trace(store: Store, run: str) -> bool:
    """Whether anybody's trace of the run is kept. Ids are drawn, so its own is the first after its beginning."""
    return any(kept.id == run for kept in await store.runs.after(run[:-1], 1))


def _learner(routed: Routed, methods: Mapping[str, Method]) -> Learner | None:
    router = getattr(methods.get(routed.method), "router", None)
    return router if isinstance(router, Learner) and router.journal == routed.learner else None


def _kept(run: str, feedback: Feedback) -> Json:
    return {"run": run, "at": time.time(), **{key: said for key, said in asdict(feedback).items() if said is not None}}


def _routed(value: Json, run: str) -> Routed:
    try:
        return Routed(**{**value["routed"], "chosen": tuple(value["routed"]["chosen"])})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"what is kept of {run!r} was written by another version: {error!r}") from error
