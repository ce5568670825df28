"""How each kind of router is fitted: a name, and where its recipe stands. Nothing is imported before."""

from __future__ import annotations

from collections.abc import Mapping

RECIPES: Mapping[str, str] = {
    # one line a kind: "kind": "coterie.training.routing.module:Recipe"; in coterie.routers where it needs no PyTorch
    "bag_of_words": "coterie.routers.bag_of_words:BagOfWordsRecipe",
    "bert": "coterie.training.routing.bert:BertRecipe",
    "blending": "coterie.routers.blending_router:BlendingRecipe",
    "causal_llm": "coterie.training.routing.causal_llm:CausalLLMRecipe",
    "eagle": "coterie.training.routing.eagle:EagleRecipe",
    "forc": "coterie.training.routing.forc:ForcRecipe",
    "hybrid": "coterie.training.routing.hybrid:HybridRecipe",
    "knn": "coterie.training.routing.knn:KnnRecipe",
    "length": "coterie.routers.length:LengthRecipe",
    "linear": "coterie.routers.linear:LinearRecipe",
    "metallm": "coterie.routers.metallm_recipe:MetaLLMRecipe",
    "mf": "coterie.training.routing.mf:MFRecipe",
    "pickllm": "coterie.routers.pickllm_recipe:PickLLMRecipe",
    "sw_ranking": "coterie.training.routing.sw_ranking:SWRankingRecipe",
}
