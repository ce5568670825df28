"""Policies: ranking reduction across the turns of a conversation and across conversations, as pure logic.

Each policy is one file with one frozen dataclass whose fields are its hyper-parameters. It plans a turn from
a record and makes the next record; it calls nobody, waits for nothing and keeps nothing.
"""

from __future__ import annotations

from coterie.policies.alternate_ranking import AlternateRanking
from coterie.policies.authors import by_author
from coterie.policies.dynamic_elimination import DynamicElimination
from coterie.policies.first_k import FirstK
from coterie.policies.fixed_interval import FixedInterval
from coterie.policies.full_ranking import FullRanking
from coterie.policies.random_k import RandomK
from coterie.policies.random_pick import RandomPick
from coterie.policies.shares import Load, Predictable, Share, speed_up
from coterie.policies.trade_off import delta_quality, delta_time_s, mean_quality

__all__ = [
    "AlternateRanking",
    "DynamicElimination",
    "FirstK",
    "FixedInterval",
    "FullRanking",
    "Load",
    "Predictable",
    "RandomK",
    "RandomPick",
    "Share",
    "by_author",
    "delta_quality",
    "delta_time_s",
    "mean_quality",
    "speed_up",
]
