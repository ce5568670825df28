"""Comparing the texts of one source with an open pair ranker: every pair, or those a tournament asks about.

Whatever is compared is read in both orders, as the reference does: a pair's margin is M[a, b] - M[b, a].
Texts that the ranker reads alike compete as one in a bubble or a knock-out, because they can only tie.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from coterie.judges.engine import Engine, Scores
from coterie.judges.pair_ranker.encoding import Pair
from coterie.ranking import tournament
from coterie.ranking.tournament import Outcome, Round, Tournament

Kind = Literal["full", "bubble", "top_k"]
"""Every pair; LLM-Blender's bubble, which finds one in N - 1 comparisons; a knock-out, which finds the first k."""

KINDS: tuple[Kind, ...] = ("full", "bubble", "top_k")


@dataclass(frozen=True)
class Plan:
    """Which comparisons to make."""

    kind: Kind = "full"
    k: int = 1
    """Places that `top_k` decides."""
    worst: bool = False
    """Look for the worst, and not the best: the same tournament, with every margin turned round."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"tournament must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k!r}")

    def tournament(self, n: int, rng: random.Random | None) -> Tournament:
        """The tournament for the best of a field of `n`; a bubble runs in an order drawn from `rng`, or as given."""
        match self.kind:
            case "full":
                return tournament.full(n)
            case "bubble":
                return tournament.bubble(n, rng)
            case "top_k":
                return tournament.top_k(n, self.k)


class Match:
    """One source's tournament under way: what it wants read next, and what was read so far."""

    def __init__(
        self, source: str, texts: Sequence[str], groups: Sequence[Sequence[int]], plan: Plan, rng: random.Random | None
    ) -> None:
        self.source = source
        self.texts = texts
        self.outcome: Outcome | None = None
        """``None`` until all is decided. Its places are of groups."""
        self._groups = groups
        self._sign = -1 if plan.worst else 1
        self._tournament = plan.tournament(len(groups), rng)
        self._asked: Round = []
        self._scores: dict[tuple[int, int], Scores] = {}
        self._go_on(None)

    @property
    def pairs(self) -> list[Pair]:
        """What is to be read next: each pair asked about, in both orders."""
        return [
            Pair(self.source, self._text(left), self._text(right))
            for a, b in self._asked
            for left, right in ((a, b), (b, a))
        ]

    def tell(self, scores: Sequence[Scores]) -> None:
        """Take the scores of `pairs`, in their order; afterwards `pairs` is the next round."""
        margins = []
        for (a, b), ab, ba in zip(self._asked, scores[::2], scores[1::2], strict=True):
            self._scores[a, b], self._scores[b, a] = ab, ba
            margins.append(self._sign * ((ab[0] - ab[1]) - (ba[0] - ba[1])))
        self._go_on(margins)

    @property
    def best(self) -> tuple[int, ...]:
        """The places that are decided, first to last, of all texts; those read alike stand together."""
        decided = self.outcome.best if self.outcome else ()
        return tuple(place for group in decided for place in self._groups[group])

    @property
    def readings(self) -> Mapping[tuple[int, int], Scores]:
        """The scores of every (left, right) that was read, sorted by their places among the texts."""
        found = {
            (left, right): scores
            for (a, b), scores in self._scores.items()
            for left in self._groups[a]
            for right in self._groups[b]
        }
        return dict(sorted(found.items()))

    def _text(self, group: int) -> str:
        return self.texts[self._groups[group][0]]

    def _go_on(self, margins: Sequence[float] | None) -> None:
        try:
            self._asked = next(self._tournament) if margins is None else self._tournament.send(margins)
        except StopIteration as ended:
            self._asked = []
            self.outcome = ended.value


def begin(
    engine: Engine[Pair], source: str, texts: Sequence[str], plan: Plan, rng: random.Random | None = None
) -> Match:
    """A match over `texts`, begun. Tokenises where texts may be read alike; compares nothing yet."""
    groups = [[place] for place in range(len(texts))] if plan.kind == "full" else _read_alike(engine, source, texts)
    return Match(source, texts, groups, plan, rng)


def play(engine: Engine[Pair], matches: Sequence[Match]) -> None:
    """Play all matches to their ends, the rounds of all of them in one batch of pairs."""
    while under_way := [each for each in matches if each.outcome is None]:
        asked = [each.pairs for each in under_way]
        found = iter(engine.score([pair for pairs in asked for pair in pairs]))
        for each, pairs in zip(under_way, asked, strict=True):
            each.tell(list(islice(found, len(pairs))))


async def aplay(engine: Engine[Pair], played: Match) -> Outcome:
    """Play one match to its end; other work goes on meanwhile, and its pairs share the engine's batches."""
    while played.outcome is None:
        played.tell(await engine.ascore(played.pairs))
    return played.outcome


def _read_alike(engine: Engine[Pair], source: str, texts: Sequence[str]) -> list[list[int]]:
    """The places of texts, grouped by what the ranker sees of them."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, text in enumerate(texts):
        groups.setdefault(engine.encode(Pair(source, text, "")).ids, []).append(place)
    return list(groups.values())
