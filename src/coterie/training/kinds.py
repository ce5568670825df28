"""The kinds of rankers that can be trained: how each reads examples, and what its network's words mean as scores.

Every kind uses the judges' own encoder and network. A kind turns candidates that are read together into rows of
tokens, and what its network says of the rows into scores [units, candidates, tasks].
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from coterie.judges.engine import Row
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder
from coterie.judges.pair_ranker.network import PairNetwork
from coterie.judges.pair_ranker.segments import RIGHT
from coterie.judges.pointwise.encoding import Alone, AloneEncoder, Answer, AnswerEncoder
from coterie.judges.pointwise.network import RankerNetwork
from coterie.training.preparing import REFERENCE, Ids, Tokens
from coterie.training.sampling import Places
from coterie.training.settings import Kind, PointwiseKind

if TYPE_CHECKING:
    from coterie.judges.pair_ranker.checkpoint import Checkpoint


class RankerKind(Protocol):
    """One kind of ranker, made of a checkpoint's tokenizer and lengths."""

    vocabulary: int
    longest: int
    """Tokens of the longest row."""

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:
        """The texts' ids, cut to what fits."""
        ...

    def rows(self, tokens: Tokens, places: Places) -> list[Ids]:
        """What the network reads for these places; `REFERENCE` is one where the kind reads references."""
        ...

    def trials(self, n: int) -> list[Places]:
        """Readings that together rank n candidates."""
        ...

    def network(self, checkpoint: Checkpoint) -> nn.Module:
        """Fresh, with random weights."""
        ...

    def scores(self, said: Tensor, layout: Tensor) -> Tensor:
        """[units, candidates, tasks], of what the network said of the rows and `layout` [units, rows of a unit].

        The layout tells which rows are whose; where a unit has fewer, it holds any row, and the score means nothing.
        """
        ...


class PairKind:
    """Two candidates in one row, of which the network says both scores."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._encoder = PairEncoder(checkpoint)
        self._right = self._encoder.marks[RIGHT]
        self.vocabulary = self._encoder.vocabulary
        self.longest = checkpoint.longest

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:  # noqa: ARG002
        rows = [self._encoder.row(Pair(source, text, "")) for text in texts]
        begins = rows[0].marks[1] - 1
        candidates = tuple(Ids(array("i", row.ids[begins : row.marks[2] - 1])) for row in rows)
        return Tokens(Ids(array("i", rows[0].ids[:begins])), candidates, cut=_cut(rows))

    def rows(self, tokens: Tokens, places: Places) -> list[Ids]:
        left, right = (tokens.candidates[place].ids for place in places)
        source = tokens.source.ids if tokens.source else array("i")
        # A text's tokens do not depend on its side; only the piece that marks it does.
        marked = right[:1] + array("i", (self._right,)) + right[2:]
        return [Ids(source + left + marked, (1, len(source) + 1, len(source) + len(left) + 1))]

    def trials(self, n: int) -> list[Places]:
        return list(permutations(range(n), 2))

    def network(self, checkpoint: Checkpoint) -> nn.Module:
        return PairNetwork(checkpoint.encoder_config(), checkpoint.n_tasks, checkpoint.drop_out)

    def scores(self, said: Tensor, layout: Tensor) -> Tensor:
        return said[layout[:, 0]]


class AnswerKind:
    """Source and one candidate in a row: a pointwise ranker, or SummaReranker."""

    def __init__(self, checkpoint: Checkpoint, kind: PointwiseKind) -> None:
        self._kind = kind
        self._encoder = AnswerEncoder(checkpoint, "marks" if kind == "pointwise" else "first")
        self.vocabulary = self._encoder.vocabulary
        self.longest = self._encoder.longest

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:  # noqa: ARG002
        rows = [self._encoder.row(Answer(source, text)) for text in texts]
        return Tokens(None, tuple(map(_packed, rows)), cut=_cut(rows))

    def rows(self, tokens: Tokens, places: Places) -> list[Ids]:
        return [tokens.candidates[place] for place in places]

    def trials(self, n: int) -> list[Places]:
        return [tuple(range(n))]

    def network(self, checkpoint: Checkpoint) -> nn.Module:
        return RankerNetwork(checkpoint.encoder_config(), self._kind, checkpoint.n_tasks, checkpoint.drop_out)

    def scores(self, said: Tensor, layout: Tensor) -> Tensor:
        return said[layout]


class AloneKind:
    """Source and candidates each in a row of their own; the cosine of their vectors is the score: SimCLS."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._encoder = AloneEncoder(checkpoint)
        self.vocabulary = self._encoder.vocabulary
        self.longest = self._encoder.longest

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:
        asked = self._encoder.row(Alone(source, is_source=True))
        rows = [self._encoder.row(Alone(text)) for text in texts]
        gold = _packed(self._encoder.row(Alone(reference))) if reference.strip() else None
        return Tokens(_packed(asked), tuple(map(_packed, rows)), gold, _cut([asked, *rows]))

    def rows(self, tokens: Tokens, places: Places) -> list[Ids]:
        read = (tokens.reference if place == REFERENCE else tokens.candidates[place] for place in places)
        return [row for row in (tokens.source, *read) if row is not None]

    def trials(self, n: int) -> list[Places]:
        return [tuple(range(n))]

    def network(self, checkpoint: Checkpoint) -> nn.Module:
        return RankerNetwork(checkpoint.encoder_config(), "simcls", checkpoint.n_tasks, checkpoint.drop_out)

    def scores(self, said: Tensor, layout: Tensor) -> Tensor:
        vectors = said[layout].float()
        return (vectors[:, :1] * vectors[:, 1:]).sum(-1, keepdim=True)


def kind_of(name: Kind, checkpoint: Checkpoint) -> RankerKind:
    """The kind called `name`, with the checkpoint's tokenizer, reading what the checkpoint says."""
    match name:
        case "pairranker":
            return PairKind(checkpoint)
        case "simcls":
            return AloneKind(checkpoint)
        case _:
            return AnswerKind(checkpoint, name)


def _packed(row: Row) -> Ids:
    return Ids(array("i", row.ids), row.marks)


def _cut(rows: Sequence[Row]) -> bool:
    return any(row.cut for row in rows)
