"""LLM-Blender's PairRanker: checkpoints, encoding, network, the engine behind it, and the judge."""

from coterie.judges.pair_ranker.judge import PairRanker
from coterie.judges.pair_ranker.weights import PairRankerWeights

__all__ = ["PairRanker", "PairRankerWeights"]
