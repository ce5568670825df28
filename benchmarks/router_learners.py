"""What routers cost that go by a few numbers: matrix factorisation, MetaLLM, PickLLM and blending.

Their time does not depend on how much they have learned from. Limits are the numbers that a decision cannot do without,
read and multiplied by NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coterie.routers.blending_router import BlendingRouter
from coterie.routers.forecast import Queries
from coterie.routers.linucb_terms import Terms
from coterie.routers.metallm import VERSION, Bandit
from coterie.routers.mf import MFRouter
from coterie.routers.packing import packed
from coterie.routers.pickllm_router import VERSION as PICK_VERSION
from coterie.routers.pickllm_router import PickLLMRouter
from coterie.routers.pickllm_rules import PickRules
from router_ranking import DIMENSIONS, drawn
from router_ranking import MEMBERS as ARENA
from router_times import Plan, Row
from turns import Side, in_turns

MEMBERS = tuple(f"m{n}" for n in range(9))
LESSONS = 40
"""On each member, before anything is timed."""
MOST_MS = 0.1
"""A decision's target beyond the encoder."""
FEEDBACK_MS = 1.0

Vectors = NDArray[np.float32]


def measure(plan: Plan) -> Iterator[Row]:
    """Decisions and feedback of each."""
    vectors = drawn(1_000, seed=5)
    yield _mf(plan, vectors)
    yield from _metallm(plan, vectors)
    for rule in ("reward_inaction", "q_learning"):
        yield from _pickllm(plan, rule)
    blending = BlendingRouter(MEMBERS, {member: n + 1.0 for n, member in enumerate(MEMBERS)})
    took = in_turns([Side("blending", lambda _: blending.forecast(Queries(("",))), plan.calls)], plan.blocks)
    yield Row("decision", f"blending, {len(MEMBERS)} members", took["blending"], reads="nothing")


def _mf(plan: Plan, vectors: Vectors) -> Row:
    rng = np.random.default_rng(3)
    shapes = ((ARENA, 128), (128, DIMENSIONS), (128,))
    embeddings, projection, classifier = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    router = MFRouter(tuple(f"m{n}" for n in range(ARENA)), embeddings, projection, classifier)
    rows = rng.standard_normal((ARENA, DIMENSIONS), dtype=np.float32)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    sides = {
        "router": lambda n: router.forecast(_asked(vectors, n)),
        "limit: a bare product, members x dimensions": lambda n: rows @ vectors[n % len(vectors)],
        "peer: both products anew": lambda n: (unit * (projection @ vectors[n % len(vectors)])) @ classifier,
    }
    return _row("decision", f"mf, {ARENA} members", sides, plan, most_ms=MOST_MS, reads="vectors")


def _metallm(plan: Plan, vectors: Vectors) -> Iterator[Row]:
    bandit, rng = Bandit(Terms()), np.random.default_rng(4)
    entries: list[dict[str, Any]] = [
        {"version": VERSION, "member": MEMBERS[n % len(MEMBERS)], "reward": float(rng.random()), "vector": packed(row)}
        for n, row in enumerate(vectors)
    ]
    for entry in entries[: LESSONS * len(MEMBERS)]:
        bandit.apply(entry)
    inverses = rng.standard_normal((len(MEMBERS) * DIMENSIONS, DIMENSIONS), dtype=np.float32)
    decisions = {
        "router": lambda n: bandit.forecast(_asked(vectors, n), MEMBERS),
        "limit: all inverses times a vector": lambda n: inverses @ vectors[n % len(vectors)],
    }
    name = f"metallm, {len(MEMBERS)} members"
    yield _row("decision", name, decisions, plan, most_ms=MOST_MS, reads="vectors")
    inverse, precision = np.eye(DIMENSIONS) / 12.94, np.eye(DIMENSIONS) * 12.94
    lessons = {
        "router": lambda n: bandit.apply(entries[n % len(entries)]),
        "limit: Sherman and Morrison alone": lambda n: _updated(inverse, vectors[n % len(vectors)]),
        "peer: a matrix inverted anew": lambda n: np.linalg.inv(precision + np.outer(*2 * (vectors[n % 1_000],))),
    }
    yield _row("feedback", name, lessons, plan, most_ms=FEEDBACK_MS)


def _updated(inverse: NDArray[np.float64], vector: Vectors) -> None:
    x = vector.astype(np.float64)
    k = inverse @ x
    inverse -= np.outer(k, k) / (1.0 + x @ k)


def _pickllm(plan: Plan, rule: Literal["reward_inaction", "q_learning"]) -> Iterator[Row]:
    router = PickLLMRouter(PickRules(rule=rule, step=0.01, stop=1.0), MEMBERS)
    accuracies = np.random.default_rng(6).random(1_000).tolist()
    values = dict.fromkeys(MEMBERS, 0.5)

    def learn(n: int) -> None:
        entry = {"version": PICK_VERSION, "member": MEMBERS[n % len(MEMBERS)], "accuracy": accuracies[n % 1_000]}
        router.apply({**entry, "cost_usd": 0.001, "latency_s": 1.0})

    for n in range(LESSONS * len(MEMBERS)):
        learn(n)
    name = f"pickllm {rule}, {len(MEMBERS)} members"
    decisions: dict[str, Callable[[int], object]] = {
        "router": lambda _: router.forecast(Queries(("",)), MEMBERS),
        "limit: an array of as many numbers": lambda _: np.array([[values[member] for member in MEMBERS]]),
    }
    yield _row("decision", name, decisions, plan, most_ms=MOST_MS, reads="nothing")
    yield _row("feedback", name, {"router": learn}, plan, most_ms=FEEDBACK_MS)


def _row(
    what: Literal["decision", "feedback"],
    name: str,
    sides: Mapping[str, Callable[[int], object]],
    plan: Plan,
    most_ms: float,
    reads: Literal["vectors", "nothing", ""] = "",
) -> Row:
    took = in_turns([Side(side, call, plan.calls) for side, call in sides.items()], plan.blocks)
    return Row(what, name, took.pop("router"), reads=reads, beside=took, most_ms=most_ms)


def _asked(vectors: Vectors, n: int) -> Queries:
    place = n % len(vectors)
    return Queries(("",), vectors[place : place + 1])
