"""An open pair ranker by itself: compare, rank and choose texts, without a committee, for one source or for many.

The forms for many take one source and one list (or text) a row, and read the pairs of all rows in one
batch of the engine, so they are the quicker ones wherever there is more than one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from coterie import ranking
from coterie.errors import ConfigError
from coterie.examples import conversation
from coterie.examples.conversation import Turn
from coterie.judges.engine import Engine
from coterie.judges.pair_ranker.comparing import Kind, Match, Plan, begin, play
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.weights import PairRankerWeights
from coterie.ranking.order import by_points
from coterie.types import Judgement, Ranking

Reading = Literal["both", "a_first", "b_first"]
"""How a pair is read: in both orders, or once, with one of them first."""

Reference = Literal["longest", "shortest", "median_length", "first", "last"]
"""Which candidate the others are compared with. Lengths are of characters."""


@dataclass(frozen=True)
class Scored:
    """Texts, and what the ranker makes of them. Everything is in the order in which the texts were given."""

    texts: tuple[str, ...]
    scores: tuple[float, ...]
    """More is better; 0 for a text that has no other to be compared with."""
    ranks: tuple[int, ...]
    """1 is the best, ties share the lower ("1224")."""

    @classmethod
    def of(cls, texts: Sequence[str], ranked: Ranking) -> Scored:
        """From a ranking over the texts' places."""
        ids = _ids(len(texts))
        ranks = ranked.ranks
        return cls(tuple(texts), tuple(ranked.scores[id_] or 0.0 for id_ in ids), tuple(ranks[id_] for id_ in ids))

    @property
    def best_first(self) -> tuple[str, ...]:
        """The texts by rank; what is tied stands as it was given."""
        return tuple(self.texts[place] for place in sorted(range(len(self.texts)), key=self.ranks.__getitem__))

    @property
    def best(self) -> str:
        return self.best_first[0]


class OpenPairRanker:
    """A loaded pair ranker. Close it, or use it in a ``with`` statement."""

    def __init__(self, engine: Engine[Pair], *, seed: int = 42) -> None:
        self.engine = engine
        self.seed = seed
        """Seeds the orders in which bubbles run: equal calls have equal results."""

    @classmethod
    def load(cls, weights: PairRankerWeights = PairRankerWeights(), *, seed: int = 42) -> OpenPairRanker:  # noqa: B008
        """The ranker of these weights, PairRM where nothing is said. Raises `ConfigError`, `MissingExtra`."""
        return cls(weights.load(), seed=seed)

    def close(self) -> None:
        """Stop the ranker and let go of its weights."""
        self.engine.close()

    def __enter__(self) -> OpenPairRanker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- comparing ----------------------------------------------------------------------------

    def compare(self, source: str, a: str, b: str, reading: Reading = "both") -> float:
        """How much better `a` is than `b`: positive when it is, however they are read.

        Of both orders it is M[a, b] - M[b, a], the margin by which MaxLogits decides; of one it is that
        reading's logit, M[a, b] or -M[b, a]. In the texts' order the ranker has a lean of its own, which
        both readings together take out.
        """
        return self.compare_many([source], [a], [b], reading)[0]

    def compare_many(
        self, sources: Sequence[str], a: Sequence[str], b: Sequence[str], reading: Reading = "both"
    ) -> list[float]:
        """`compare` of each row."""
        if not len(sources) == len(a) == len(b):
            raise ConfigError(f"{len(sources)} sources, {len(a)} texts a and {len(b)} texts b: give one of each a row")
        return self._margins(list(zip(sources, a, b, strict=True)), reading)

    def compare_conversations(self, a: Sequence[Turn], b: Sequence[Turn], reading: Reading = "both") -> float:
        """`compare` of two whole conversations with the same user turns, in the ranker's training format.

        Raises `ConfigError` where they cannot be compared.
        """
        return self.compare_conversations_many([a], [b], reading)[0]

    def compare_conversations_many(
        self, a: Sequence[Sequence[Turn]], b: Sequence[Sequence[Turn]], reading: Reading = "both"
    ) -> list[float]:
        """`compare_conversations` of each row."""
        if len(a) != len(b):
            raise ConfigError(f"{len(a)} conversations a and {len(b)} conversations b: give one of each a row")
        return self._margins([conversation.paired(*row) for row in zip(a, b, strict=True)], reading)

    # ---- ranking ------------------------------------------------------------------------------

    def logits(self, source: str, candidates: Sequence[str]) -> list[list[float]]:
        """M, where M[i][j] is the logit of candidate i, read first, over candidate j; 0 on the diagonal."""
        return self.logits_many([source], [candidates])[0]

    def logits_many(self, sources: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[list[float]]]:
        """`logits` of each row."""
        tables = []
        for played in self._played(sources, candidates, Plan("full")):
            table = [[0.0] * len(played.texts) for _ in played.texts]
            for (left, right), scores in played.readings.items():
                table[left][right] = scores[0] - scores[1]
            tables.append(table)
        return tables

    def rank(self, source: str, candidates: Sequence[str], rule: str = "max_logits") -> Scored:
        """The candidates by all comparisons, N (N - 1) readings, and a ranking rule (2306.02561, section 3.4).

        Raises `ConfigError` where there is no candidate or no such rule.
        """
        return self.rank_many([source], [candidates], rule)[0]

    def rank_many(
        self, sources: Sequence[str], candidates: Sequence[Sequence[str]], rule: str = "max_logits"
    ) -> list[Scored]:
        """`rank` of each row. Rows may be of different lengths."""
        ranked = ranking.rule(rule)
        return [
            Scored.of(played.texts, ranked(_judgements(played), _ids(len(played.texts))))
            for played in self._played(sources, candidates, Plan("full"))
        ]

    def rank_with_reference(
        self, source: str, candidates: Sequence[str], reference: str | None = None, mode: Reference = "longest"
    ) -> Scored:
        """Every candidate against one reference alone: 2 N readings. Scores are `compare(candidate, reference)`.

        The reference is the given text, or the candidate that `mode` chooses, which scores 0.
        """
        given = None if reference is None else [reference]
        return self.rank_with_reference_many([source], [candidates], given, mode)[0]

    def rank_with_reference_many(
        self,
        sources: Sequence[str],
        candidates: Sequence[Sequence[str]],
        references: Sequence[str] | None = None,
        mode: Reference = "longest",
    ) -> list[Scored]:
        """`rank_with_reference` of each row."""
        _check(sources, candidates)
        chosen = [_reference(texts, mode) for texts in candidates] if references is None else list(references)
        if len(chosen) != len(candidates):
            raise ConfigError(f"{len(candidates)} lists of candidates and {len(chosen)} references: give one a list")
        asked = [
            (source, text, reference)
            for source, texts, reference in zip(sources, candidates, chosen, strict=True)
            for text in texts
        ]
        margins = iter(self._margins(asked, "both"))
        found = []
        for texts in candidates:
            points: dict[str, float | None] = {id_: next(margins) for id_ in _ids(len(texts))}
            found.append(Scored.of(texts, by_points(points, list(points), "with_reference")))
        return found

    # ---- choosing -----------------------------------------------------------------------------

    def best_of_n(self, source: str, candidates: Sequence[str], tournament: Kind = "full") -> str:
        """The best candidate: by all comparisons, or by the 2 (N - 1) readings of a bubble or a knock-out (`top_k`)."""
        return self.best_of_n_many([source], [candidates], tournament)[0]

    def best_of_n_many(
        self, sources: Sequence[str], candidates: Sequence[Sequence[str]], tournament: Kind = "full"
    ) -> list[str]:
        """`best_of_n` of each row."""
        return [texts[0] for texts in self.choose_many(sources, candidates, Plan(tournament))]

    def worst_of_n(self, source: str, candidates: Sequence[str], tournament: Kind = "full") -> str:
        """The worst candidate; see `best_of_n`."""
        return self.worst_of_n_many([source], [candidates], tournament)[0]

    def worst_of_n_many(
        self, sources: Sequence[str], candidates: Sequence[Sequence[str]], tournament: Kind = "full"
    ) -> list[str]:
        """`worst_of_n` of each row."""
        return [texts[0] for texts in self.choose_many(sources, candidates, Plan(tournament, worst=True))]

    def choose(self, source: str, candidates: Sequence[str], plan: Plan) -> list[str]:
        """The candidates whose places the planned tournament decides, first to last: all of them for `full`.

        Texts that the ranker reads alike share a place, so they stand together where one of them stands.
        """
        return self.choose_many([source], [candidates], plan)[0]

    def choose_many(self, sources: Sequence[str], candidates: Sequence[Sequence[str]], plan: Plan) -> list[list[str]]:
        """`choose` of each row; the tournaments of all rows take their rounds together."""
        return [[played.texts[place] for place in played.best] for played in self._played(sources, candidates, plan)]

    # ---- what they share ----------------------------------------------------------------------

    def _margins(self, rows: Sequence[tuple[str, str, str]], reading: Reading) -> list[float]:
        """How much better the first text of each (source, a, b) is than the second."""
        ab = [Pair(source, a, b) for source, a, b in rows]
        ba = [Pair(source, b, a) for source, a, b in rows]
        match reading:
            case "a_first":
                return self._logits(ab)
            case "b_first":
                return [-logit for logit in self._logits(ba)]
            case "both":
                logits = self._logits([*ab, *ba])
                return [first - second for first, second in zip(logits[: len(ab)], logits[len(ab) :], strict=True)]
        raise ConfigError(f"a pair is read 'a_first', 'b_first' or in 'both' orders, not {reading!r}")

    def _logits(self, pairs: Sequence[Pair]) -> list[float]:
        return [left - right for left, right in self.engine.score(pairs)]

    def _played(self, sources: Sequence[str], candidates: Sequence[Sequence[str]], plan: Plan) -> list[Match]:
        _check(sources, candidates)
        matches = [
            begin(self.engine, source, texts, plan, random.Random(self.seed))  # the same for each: no row knows another
            for source, texts in zip(sources, candidates, strict=True)
        ]
        play(self.engine, matches)
        return matches


def _check(sources: Sequence[str], candidates: Sequence[Sequence[str]]) -> None:
    if isinstance(sources, str) or any(isinstance(texts, str) for texts in candidates):
        raise ConfigError("sources is a list of texts, and candidates a list of lists of texts")
    if len(sources) != len(candidates):
        raise ConfigError(f"{len(sources)} inputs and {len(candidates)} lists of candidates: give one list an input")
    empty = [n for n, texts in enumerate(candidates) if not len(texts)]
    if empty:
        raise ConfigError(f"inputs {empty!r} have no candidate to rank")


def _ids(n: int) -> list[str]:
    return [str(place) for place in range(n)]


def _judgements(played: Match) -> list[Judgement]:
    return [Judgement("pair_ranker", (str(a), str(b)), scores) for (a, b), scores in played.readings.items()]


def _reference(texts: Sequence[str], mode: Reference) -> str:
    choices: Mapping[str, Callable[[], str]] = {
        "longest": lambda: max(texts, key=len),
        "shortest": lambda: min(texts, key=len),
        "median_length": lambda: sorted(texts, key=len)[len(texts) // 2],
        "first": lambda: texts[0],
        "last": lambda: texts[-1],
    }
    if mode not in choices:
        raise ConfigError(f"the reference is one of {', '.join(choices)}, not {mode!r}")
    return choices[mode]()
