"""From texts to the rows of a ranker that reads one candidate at a time.

A pointwise ranker and SummaReranker read source and candidate together, SimCLS each by itself:

    [CLS] <|source|> x [SEP] [CLS] <|candidate|> y [SEP]
    [CLS] <|source|> x [SEP]        and        [CLS] <|candidate|> y [SEP]

The source is cut to `source_tokens`, a candidate to `candidate_tokens` and what the source beside it left over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from coterie.judges.engine import Row
from coterie.judges.pair_ranker.checkpoint import Checkpoint
from coterie.judges.pair_ranker.segments import CANDIDATE, SOURCE, Segments

Reads = Literal["first", "marks"]
"""Whose states a head reads: the first token's, or those of the pieces that mark source and candidate."""


@dataclass(frozen=True)
class Answer:
    """A source, and one candidate for it."""

    source: str
    text: str


@dataclass(frozen=True)
class Alone:
    """A source or a candidate, read by itself."""

    text: str
    is_source: bool = False


Item_contra = TypeVar("Item_contra", contravariant=True)


class RowEncoder(Protocol[Item_contra]):
    """Makes rows of a checkpoint's own manner."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, those that mark texts included."""
        ...

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        ...

    def row(self, item: Item_contra, /) -> Row: ...


class AnswerEncoder:
    """Puts source and candidate into one row."""

    def __init__(self, checkpoint: Checkpoint, reads: Reads) -> None:
        self._reads = reads
        self.source_tokens = checkpoint.source_tokens
        self.candidate_tokens = checkpoint.candidate_tokens
        self._segments = Segments(checkpoint)
        self.vocabulary = self._segments.vocabulary

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return self.source_tokens + self.candidate_tokens

    def row(self, answer: Answer) -> Row:
        """The ids of one answer."""
        source, cut = self._segments.fitted(SOURCE, answer.source, self.source_tokens)
        room = self.candidate_tokens + self.source_tokens - len(source)
        candidate, cut_candidate = self._segments.fitted(CANDIDATE, answer.text, room)
        marks = (0,) if self._reads == "first" else (1, len(source) + 1)
        return Row(source + candidate, marks, cut or cut_candidate)


class AloneEncoder:
    """Puts every text into a row of its own, so that a source is read once for all of its candidates."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.source_tokens = checkpoint.source_tokens
        self.candidate_tokens = checkpoint.candidate_tokens
        self._segments = Segments(checkpoint)
        self.vocabulary = self._segments.vocabulary

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(self.source_tokens, self.candidate_tokens)

    def row(self, alone: Alone) -> Row:
        """The ids of one text."""
        place, most = (SOURCE, self.source_tokens) if alone.is_source else (CANDIDATE, self.candidate_tokens)
        ids, cut = self._segments.fitted(place, alone.text, most)
        return Row(ids, (0,), cut)
