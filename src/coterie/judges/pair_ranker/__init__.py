"""LLM-Blender's PairRanker: checkpoints, encoding, network, the engine behind it, and the judge."""

from coterie.judges.pair_ranker.judge import PairRanker, PairRankerWeights

__all__ = ["PairRanker", "PairRankerWeights"]
