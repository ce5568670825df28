"""Which kinds of fitted routers there are: a name for each, and where its class stands. Nothing is imported before.

`load` of the class makes it out of what an artifact keeps (`forecast.Loads`). How each kind is fitted stands in
`coterie.training.routing.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import cast

from coterie.errors import ConfigError
from coterie.routers.forecast import Loads

FITTED: Mapping[str, str] = {
    # one line a kind: "kind": "coterie.routers.module:Class"
    "bag_of_words": "coterie.routers.bag_of_words:BagOfWordsRouter",
    "bert": "coterie.routers.bert:BertRouter",
    "blending": "coterie.routers.blending_router:BlendingRouter",
    "causal_llm": "coterie.routers.causal_llm:CausalLLMRouter",
    "eagle": "coterie.routers.eagle:EagleRouter",
    "forc": "coterie.routers.forc:ForcRouter",
    "hybrid": "coterie.routers.hybrid:HybridRouter",
    "knn": "coterie.routers.knn:KnnRouter",
    "length": "coterie.routers.length:LengthRouter",
    "linear": "coterie.routers.linear:LinearRouter",
    "metallm": "coterie.routers.linucb:LinUCB",
    "mf": "coterie.routers.mf:MFRouter",
    "pickllm": "coterie.routers.pickllm_router:PickLLMRouter",
    "sw_ranking": "coterie.routers.sw_ranking:SWRankingRouter",
}


def loads(kind: str) -> Loads:
    """What makes a fitted router of that kind out of an artifact. Raises `ConfigError` naming the kinds there are."""
    if kind not in FITTED:
        close = get_close_matches(kind, FITTED, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{kind!r} is no kind of router: {', '.join(sorted(FITTED))}{hint}")
    module, _, name = FITTED[kind].partition(":")
    return cast(Loads, getattr(import_module(module), name).load)
