"""The least time that a request can take, from how long its calls wait and from what each of them has to wait for.

Nothing is taken from a clock or from our trace: the waits are the mock's own, and so is what a call has
read. Members answer at once. A review begins when the answers that it speaks of are there, and its reviewer's own
(nobody votes who has not answered), and when its member has room for it. Then the ranking, then the final answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

from mock_server import Served

Wait = Callable[[Served], float]
"""How long a call takes, in seconds."""


def drawn_s(call: Served) -> float:
    """What the mock was to wait."""
    return call.delay_s


def waited_s(call: Served) -> float:
    """What it waited, being late itself."""
    return call.delay_s + call.late_s


def floor_s(calls: Sequence[Served], at_once: int | None = None, own_s: float = 0.0, wait: Wait = drawn_s) -> float:
    """The least time of a request with these calls, each member taking `at_once` of them at a time.

    `own_s` is the time of what the committee does itself once all answers are there: a ranker's, a fuser's.
    Of one member's reviews all take equally long, so that first come, first served is the best it can do.
    Raises `RuntimeError` where a call has read an answer that was not among the calls.
    """
    there = {call.model: wait(call) for call in _of("generate", calls)}
    reviews = [call for stage in ("review", "prefill") for call in _of(stage, calls)]
    ends = list(there.values())
    for reviewer in {call.model for call in reviews}:
        own = [(_release(call, there), wait(call)) for call in reviews if call.model == reviewer]
        ends.append(_last_end(sorted(own), there.get(reviewer, 0.0), at_once))
    return max(ends) + own_s + sum(map(wait, _of("fuse", calls)))


def round_s(calls: Sequence[Served], at_once: int | None = None) -> float:
    """How much of the floor comes after the slowest answer and before the final one: the round of reviews."""
    before = [call for call in calls if call.stage != "fuse"]
    return floor_s(before, at_once) - max(call.delay_s for call in _of("generate", calls))


def _of(stage: str, calls: Iterable[Served]) -> list[Served]:
    return [call for call in calls if call.stage == stage]


def _release(review: Served, there: dict[str, float]) -> float:
    if not review.read:
        raise RuntimeError(f"a review by {review.model} has read no answer that the mock knows")
    if strangers := [author for author in review.read if author not in there]:
        raise RuntimeError(f"{review.model} has read an answer by {strangers!r}, who were not asked for one")
    return max(there[author] for author in (*review.read, review.model) if author in there)


def _last_end(jobs: Sequence[tuple[float, float]], writes_until: float, at_once: int | None) -> float:
    """When the last of `jobs` ends: each a release and a wait. One slot is taken until the own answer is there."""
    if at_once is None:
        return max(release + wait for release, wait in jobs)
    free = [writes_until, *[0.0] * (at_once - 1)]
    heapq.heapify(free)
    last = 0.0
    for release, wait in jobs:
        end = max(release, heapq.heappop(free)) + wait
        heapq.heappush(free, end)
        last = max(last, end)
    return last
