"""Who takes part: every member alone, chance, the longest answer, LLM-Blender, peer blending under each policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coterie import registry
from coterie.config import Config
from coterie.errors import ConfigError
from coterie.evaluation.blending.rows import Kind, Variant
from coterie.evaluation.convqa.alone import Alone
from coterie.judges.length import Length
from coterie.methods.best_of import BestOf
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.policies import FullRanking, RandomPick
from coterie.protocols import Method, Policy

FULL = "full_ranking"
REDUCED = ("dynamic_elimination", "alternate_ranking", "fixed_interval")
"""The thesis' three policies (3.2.1 to 3.2.3)."""

UNRANKED = ("random_k", "first_k")
"""Its r = 0 (3.1.4)."""


@dataclass(frozen=True)
class Entry:
    """One way of answering that takes part."""

    variant: Variant
    method: Method
    pool: int = 0
    """Which of several pools of one size it has: their rows are averaged."""

    @property
    def key(self) -> str:
        """The name under which a committee holds it."""
        told = [f"{name}={value}" for name, value in vars(self.variant).items() if value not in ("", None)]
        return ", ".join([*told, f"pool={self.pool}"])


@dataclass(frozen=True)
class Lineup:
    """What a configuration's methods are made into."""

    blender: RankAndFuse | None
    """LLM-Blender's shape: a trained ranker and a fuser."""
    peers: PeerBlend | None
    others: Mapping[str, Method]
    """Methods that take part as they are."""
    policies: tuple[str, ...] = (FULL, *REDUCED, *UNRANKED)
    top_k: int = 3
    """LLM-Blender's K, where the pool has so many."""
    temperature: float | None = None

    @classmethod
    def of(cls, config: Config, others: Sequence[str] = (), **how: Any) -> Lineup:
        """The first method of each shape in a configuration. Raises `ConfigError` where there is neither."""
        methods = config.methods
        blender = next((m for m in methods.values() if isinstance(m, RankAndFuse)), None)
        peers = next((m for m in methods.values() if isinstance(m, PeerBlend)), None)
        if blender is None and peers is None:
            raise ConfigError("the configuration has neither a rank_and_fuse nor a peer_blend method to evaluate")
        if unknown := [name for name in others if name not in methods]:
            raise ConfigError(f"{unknown!r} are no methods of the configuration; there are {', '.join(methods)}")
        return cls(blender, peers, {name: methods[name] for name in others}, **how)

    @property
    def members(self) -> tuple[str, ...]:
        """The pool: whoever answers in the first of the two shapes that there is."""
        pool = self.peers or self.blender
        assert pool is not None  # noqa: S101 - `of` saw to it
        return pool.members

    def entries(self) -> list[Entry]:
        """Everybody who takes part, singles first."""
        return [*self._singles(), *self._baselines(), *self._blenders(), *self._peers(), *self._others()]

    def _singles(self) -> Iterator[Entry]:
        for member in self.members:
            yield self._entry(member, "single", Alone(member), n=1)

    def _baselines(self) -> Iterator[Entry]:
        random = RankAndFuse(self.members, Length(), "mean", 1, policy=RandomPick())
        yield self._entry("random pick", "baseline", random)
        yield self._entry("longest answer", "baseline", BestOf(self.members, Length(), "mean"))

    def _blenders(self) -> Iterator[Entry]:
        if self.blender is None:
            return
        for top_k in dict.fromkeys((min(self.top_k, len(self.members)), 1)):
            method = replace(self.blender, members=self.members, top_k=top_k, policy=FullRanking())
            yield self._entry("LLM-Blender", "selection" if top_k == 1 else "blend", method, FULL)

    def _peers(self) -> Iterator[Entry]:
        if self.peers is None:
            return
        for name in self.policies:
            method = replace(self.peers, policy=policy(name))
            kind: Kind = "selection" if method.final == "select" or method.top_k == 1 else "blend"
            yield self._entry("Peer-Blending", kind, method, name)

    def _others(self) -> Iterator[Entry]:
        for name, method in self.others.items():
            yield self._entry(name, "blend", method, policy_name(method))

    def _entry(self, name: str, kind: Kind, method: Method, policy: str = "", n: int | None = None) -> Entry:
        shape: Any = method
        judge = getattr(shape, "judge", None)
        variant = Variant(
            name,
            kind,
            len(self.members) if n is None else n,
            getattr(shape, "top_k", None) if kind in ("selection", "blend") else None,
            registry.name_of("judges", judge) if judge is not None and kind in ("selection", "blend") else "",
            getattr(shape, "rule", "") if kind in ("selection", "blend") else "",
            policy,
            self.temperature,
        )
        return Entry(variant, method)


def policy(name: str) -> Policy:
    """The policy of that kind, with its defaults. Raises `ConfigError`."""
    made: Policy = registry.find("policies", name)()
    return made


def policy_name(method: object) -> str:
    """The kind of a method's policy; empty where it has none."""
    found = getattr(method, "policy", None)
    return "" if found is None else registry.name_of("policies", found)
