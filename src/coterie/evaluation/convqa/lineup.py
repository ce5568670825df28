"""Who takes part: every member alone, chance, the longest answer, LLM-Blender, peer blending under each policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

FEW = 4
"""Smaller pools that are tried where nobody says which."""

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
    sizes: tuple[int, ...] | None = None
    """Of smaller pools with which LLM-Blender and full peer blending are tried too; a few where left out.

    A smaller pool are the first so many members, in the configuration's order.
    """

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

    @property
    def smaller(self) -> tuple[int, ...]:
        """The sizes below the whole pool's. Raises `ConfigError` for one that it has not."""
        most = len(self.members)
        if self.sizes is None:
            return tuple(sorted({2 + (most - 2) * step // FEW for step in range(FEW)} - {most})) if most > 2 else ()
        if odd := [size for size in self.sizes if not 2 <= size <= most]:
            raise ConfigError(f"a pool of {odd!r} cannot be blended: there are {most} members, and it takes two")
        return tuple(sorted(set(self.sizes) - {most}))

    def entries(self) -> list[Entry]:
        """Everybody who takes part, singles first."""
        blenders = self._blenders(dict.fromkeys((self._blended, 1)))
        whole = [*self._singles(), *self._baselines(), *blenders, *self._peers(), *self._others()]
        return whole + [entry for size in self.smaller for entry in self._of_size(size)]

    def _of_size(self, size: int) -> Iterator[Entry]:
        """LLM-Blender and full peer blending with the first `size` members."""
        members = self.members[:size]
        blender = replace(self.blender, members=members) if self.blender else None
        peers = replace(self.peers, members=members) if self.peers else None
        few = replace(self, blender=blender, peers=peers, policies=(FULL,), sizes=())
        yield from few._blenders([self._blended])
        yield from few._peers()

    @property
    def _blended(self) -> int:
        """LLM-Blender's K with the whole pool, which stays its K with a smaller one: there all are fused."""
        return min(self.top_k, len(self.members))

    def _singles(self) -> Iterator[Entry]:
        for member in self.members:
            yield self._entry(member, "single", Alone(member), n=1)

    def _baselines(self) -> Iterator[Entry]:
        random = RankAndFuse(self.members, Length(), "mean", 1, policy=RandomPick())
        yield self._entry("random pick", "baseline", random)
        yield self._entry("longest answer", "baseline", BestOf(self.members, Length(), "mean"))

    def _blenders(self, top_ks: Iterable[int]) -> Iterator[Entry]:
        if self.blender is None:
            return
        for top_k in top_ks:
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
