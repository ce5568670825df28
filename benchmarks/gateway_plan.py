"""How much of the gateway is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The whole takes about a quarter of an hour."""

    rounds: int = 15
    """Rounds of requests one at a time."""
    times: int = 200
    """Requests of a side in each of them."""
    load_rounds: int = 5
    load_s: float = 5.0
    at_once: int = 64
    rates: tuple[int, ...] = (25, 100, 300, 600)
    """Requests a second, arriving constantly."""
    rate_s: float = 15.0
    stream_rounds: int = 10
    streams: int = 15
    body_rounds: int = 7
    bodies: int = 60
    body_bytes: int = 100_000
    blend_rounds: int = 8
    blends: int = 32
    """Blends at once."""
    blends_each: int = 3
    """One after the other, of a client in a round."""
    blend_scale: float = 1.0
    """The members' waits are so many times as long."""
    starts: int = 10
    slow_starts: int = 3
    """Starts of what takes tens of seconds."""
    soak_requests: int = 100_000


QUICK = Plan(
    rounds=3,
    times=30,
    load_rounds=1,
    load_s=2.0,
    rates=(50,),
    rate_s=1.0,
    stream_rounds=2,
    streams=2,
    body_rounds=2,
    bodies=10,
    blend_rounds=1,
    blends=4,
    blend_scale=0.1,
    starts=1,
    slow_starts=1,
    soak_requests=2_000,
)
