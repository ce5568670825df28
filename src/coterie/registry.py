"""Which parts there are: a name for each, and where its class stands. Nothing is imported until it is asked for.

A package adds its own parts through entry points: in the group ``coterie.members`` (or ``judges``,
``fusers``, ``policies``, ``methods``), ``name = "package.module:Class"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal

from coterie.errors import ConfigError

Room = Literal["members", "judges", "fusers", "policies", "methods"]

TAG: Mapping[Room, str] = {
    "members": "engine",
    "judges": "kind",
    "fusers": "kind",
    "policies": "kind",
    "methods": "kind",
}
"""The key that names the part, in a configuration."""

_OWN: Mapping[Room, Mapping[str, str]] = {
    "members": {
        "llama_cpp": "coterie.members.llama_cpp:LlamaCppMember",
        "openai": "coterie.members.openai:OpenAIMember",
        "recorded": "coterie.members.recorded:RecordedMember",
        "scripted": "coterie.members.scripted:ScriptedMember",
    },
    "judges": {
        "agreement": "coterie.judges.agreement:Agreement",
        "comparison": "coterie.judges.comparison:PairwiseComparison",
        "length": "coterie.judges.length:Length",
        "mlm_scoring": "coterie.judges.mlm_scoring:MLMScoring",
        "pair_ranker": "coterie.judges.pair_ranker:PairRanker",
        "peer_review": "coterie.judges.peer_review:PeerReview",
        "pointwise": "coterie.judges.pointwise:Pointwise",
        "random": "coterie.judges.random:Random",
        "simcls": "coterie.judges.pointwise:SimCLS",
        "summareranker": "coterie.judges.pointwise:SummaReranker",
    },
    "fusers": {
        "aggregate": "coterie.fusers.aggregate:Aggregate",
        "generative": "coterie.fusers.generative:Generative",
    },
    "policies": {
        "alternate_ranking": "coterie.policies.alternate_ranking:AlternateRanking",
        "dynamic_elimination": "coterie.policies.dynamic_elimination:DynamicElimination",
        "first_k": "coterie.policies.first_k:FirstK",
        "fixed_interval": "coterie.policies.fixed_interval:FixedInterval",
        "full_ranking": "coterie.policies.full_ranking:FullRanking",
        "random_k": "coterie.policies.random_k:RandomK",
        "random_pick": "coterie.policies.random_pick:RandomPick",
    },
    "methods": {
        "best_of": "coterie.methods.best_of:BestOf",
        "peer_blend": "coterie.methods.peer_blend:PeerBlend",
        "rank_and_fuse": "coterie.methods.rank_and_fuse:RankAndFuse",
        "vote": "coterie.methods.vote:Vote",
    },
}


@cache
def known(room: Room) -> Mapping[str, str]:
    """Every part of a room by name, plugins included; a plugin cannot replace a part of ours."""
    plugins = {point.name: point.value for point in entry_points(group=f"coterie.{room}")}
    return {**plugins, **_OWN[room]}


def find(room: Room, name: str) -> type:
    """The class of a part. Raises `ConfigError` naming the parts there are, or a plugin that cannot be loaded."""
    places = known(room)
    if name not in places:
        close = get_close_matches(str(name), places, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{name!r} is none of the {room}: {', '.join(sorted(places))}{hint}")
    module, _, attribute = places[name].partition(":")
    try:
        cls: type = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if name in _OWN[room]:
            raise
        why = f"{name!r} of the {room} stands at {places[name]!r}, which cannot be loaded: {error}"
        raise ConfigError(why) from error
    return cls


def name_of(room: Room, part: object) -> str:
    """The name under which a part's class is known, or the class's own path for one made in code."""
    cls = type(part)
    for name, place in known(room).items():
        module, _, attribute = place.partition(":")
        if (module, attribute) == (cls.__module__, cls.__qualname__):
            return name
        if attribute == cls.__name__ and find(room, name) is cls:
            return name
    return f"{cls.__module__}:{cls.__qualname__}"
