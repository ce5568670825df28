"""From texts to the token ids a pair ranker reads, exactly as the published rankers were trained on.

A pair is three segments, each with its own [CLS] and [SEP] and a piece that marks it:

    [CLS] <|source|> x [SEP] [CLS] <|candidate1|> y_i [SEP] [CLS] <|candidate2|> y_j [SEP]

Long texts are cut by the rule of one example at a time, so that neighbours in a batch never matter:
the source to `source_tokens`, each candidate to `candidate_tokens` and half of what the source left over.
"""

from __future__ import annotations

from dataclasses import dataclass

from coterie.judges.engine import Row
from coterie.judges.pair_ranker.checkpoint import Checkpoint
from coterie.judges.pair_ranker.segments import LEFT, RIGHT, SOURCE, Segments


@dataclass(frozen=True)
class Pair:
    """Two candidates for one source, in the order in which they are read."""

    source: str
    left: str
    right: str


class PairEncoder:
    """Tokenises texts once each, and puts pairs together."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.source_tokens = checkpoint.source_tokens
        self.candidate_tokens = checkpoint.candidate_tokens
        self._segments = Segments(checkpoint)
        self.marks = self._segments.marks
        self.vocabulary = self._segments.vocabulary

    def row(self, pair: Pair) -> Row:
        """The ids of one pair."""
        source, cut = self._segments.fitted(SOURCE, pair.source, self.source_tokens)
        room = self.candidate_tokens + (self.source_tokens - len(source)) // 2
        left, cut_left = self._segments.fitted(LEFT, pair.left, room)
        right, cut_right = self._segments.fitted(RIGHT, pair.right, room)
        marks = (1, len(source) + 1, len(source) + len(left) + 1)
        return Row(source + left + right, marks, cut or cut_left or cut_right)
