"""Which parts there are: a name for each, and where its class stands. Nothing is imported until it is asked for.

A package adds its own parts through entry points: in the group ``coterie.members`` (or ``judges``,
``fusers``, ``policies``, ``encoders``, ``routers``, ``decisions``, ``methods``), ``name = "package.module:Class"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal

from coterie.errors import ConfigError

Room = Literal["members", "judges", "fusers", "policies", "encoders", "routers", "decisions", "methods"]

TAG: Mapping[Room, str] = {
    "members": "engine",
    "judges": "kind",
    "fusers": "kind",
    "policies": "kind",
    "encoders": "kind",
    "routers": "kind",
    "decisions": "kind",
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
    "encoders": {
        "endpoint": "coterie.encoders.endpoint:EndpointEncoder",
        "minilm": "coterie.encoders.minilm:MiniLM",
        "sentence_transformers": "coterie.encoders.sentence_transformers:SentenceTransformersEncoder",
        "static": "coterie.encoders.static:Static",
    },
    "routers": {
        "always": "coterie.routers.always:Always",
        "blending": "coterie.routers.blending:Blending",
        "eagle": "coterie.routers.eagle_learner:Eagle",
        "metallm": "coterie.routers.metallm:MetaLLM",
        "pickllm": "coterie.routers.pickllm:PickLLM",
        "random": "coterie.routers.random:Random",
        "trained": "coterie.routers.trained:Trained",
    },
    "decisions": {
        "best": "coterie.decisions.best:Best",
        "budget": "coterie.decisions.budget:Budget",
        "cheapest_above": "coterie.decisions.cheapest_above:CheapestAbove",
        "explore": "coterie.decisions.explore:Explore",
        "optimistic": "coterie.decisions.optimistic:Optimistic",
        "sample": "coterie.decisions.sample:Sample",
        "threshold": "coterie.decisions.threshold:Threshold",
        "utility": "coterie.decisions.utility:Utility",
    },
    "methods": {
        "best_of": "coterie.methods.best_of:BestOf",
        "peer_blend": "coterie.methods.peer_blend:PeerBlend",
        "rank_and_fuse": "coterie.methods.rank_and_fuse:RankAndFuse",
        "route": "coterie.methods.route:Route",
        "vote": "coterie.methods.vote:Vote",
    },
}


@cache
def known(room: Room) -> Mapping[str, str]:
    """Every part of a room by name, plugins included; a plugin cannot replace a part of ours."""
    return {**_plugins()[room], **_OWN[room]}


@cache
def _plugins() -> Mapping[Room, Mapping[str, str]]:
    """What installed packages add to each room. All of them are looked through, so that is done once."""
    points = entry_points()
    return {room: {point.name: point.value for point in points.select(group=f"coterie.{room}")} for room in _OWN}


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
