"""A sweep: every combination of pool, K, judge, rule and policy, over what was recorded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from math import comb

from coterie import registry
from coterie.errors import ConfigError
from coterie.evaluation.blending.rows import Kind, Variant
from coterie.evaluation.convqa.lineup import FULL, Entry, Lineup, policy
from coterie.fusers.aggregate import Aggregate
from coterie.judges.peer_review import PeerReview
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.protocols import Fuser, Judge

RULES: Mapping[str, str] = {
    "peer_review": "normalised_borda",
    "pair_ranker": "max_logits",
    "comparison": "max_logits",
}
"""The rule by which a judge is read where none is named."""


@dataclass(frozen=True)
class Sweep:
    """What is varied, and between which values."""

    members: tuple[str, ...]
    fuser: Fuser = field(default_factory=Aggregate)
    sizes: tuple[int, ...] = ()
    """N; the whole pool where left out."""
    top_ks: tuple[int, ...] = (1,)
    """K; 1 gives the ranking's first verbatim, and fuses nothing."""
    judges: Mapping[str, Judge] = field(default_factory=lambda: {"peer_review": PeerReview()})
    rules: tuple[str, ...] = ()
    """Each judge's usual one where left out."""
    policies: tuple[str, ...] = (FULL,)
    subsets: int = 10
    """Pools of a size that are tried at most, drawn by the seed; their rows differ in the seed alone."""
    temperature: float | None = None
    seed: int = 0

    def entries(self, singles: Lineup) -> list[Entry]:
        """Every single member, and every combination on every pool.

        Raises `ConfigError` for a rule that would misread every judge, and a size that the pool has not.
        """
        found = [entry for entry in singles.entries() if entry.variant.kind in ("single", "baseline")]
        blends = list(self._combinations())
        if not blends:
            raise ConfigError(f"the rules {self.rules!r} would misread every one of the judges {list(self.judges)!r}")
        return found + blends

    def _combinations(self) -> Iterator[Entry]:
        for size in self.sizes or (len(self.members),):
            for number, pool in enumerate(self.pools(size)):
                for top_k, judge, policy_name in product(self.top_ks, self.judges, self.policies):
                    if top_k <= size:
                        yield from self._ruled(pool, number, top_k, judge, policy_name)

    def _ruled(self, pool: tuple[str, ...], number: int, top_k: int, judge: str, policy_name: str) -> Iterator[Entry]:
        part = self.judges[judge]
        for rule in self.rules or (RULES.get(registry.name_of("judges", part), "mean"),):
            try:
                method = RankAndFuse(pool, part, rule, top_k, self.fuser, policy(policy_name))
            except ConfigError:
                continue  # the rule would misread this judge
            kind: Kind = "selection" if top_k == 1 else "blend"
            variant = Variant("blend", kind, len(pool), top_k, judge, rule, policy_name, self.temperature)
            yield Entry(variant, method, number)

    def pools(self, size: int) -> Sequence[tuple[str, ...]]:
        """The pools of that size, all or so many of them, each in the members' order."""
        if not 1 <= size <= len(self.members):
            raise ConfigError(f"a pool of {size!r} cannot be made of the {len(self.members)} members {self.members!r}")
        if comb(len(self.members), size) <= self.subsets:
            return list(combinations(self.members, size))
        rng = random.Random(f"{self.seed}:{size}")
        drawn: dict[tuple[str, ...], None] = {}
        while len(drawn) < self.subsets:
            chosen = set(rng.sample(self.members, size))
            drawn[tuple(member for member in self.members if member in chosen)] = None
        return list(drawn)
