"""Rankers that read one candidate at a time: checkpoints, encodings, networks, and the three judges."""

from coterie.judges.pointwise.judge import Pointwise, SimCLS, SummaReranker
from coterie.judges.pointwise.weights import RankerWeights

__all__ = ["Pointwise", "RankerWeights", "SimCLS", "SummaReranker"]
