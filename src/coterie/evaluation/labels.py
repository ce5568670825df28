"""What an example's labels say: ranks where every pair was compared, the best where only that is known.

The ranks are MixInstruct's GPT-Rank (2306.02561, section 2.2 and 4): each comparison adds to a table, and a
candidate's score is what it has over the others, summed over the field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from coterie.errors import ConfigError
from coterie.examples import Comparison, Example, Verdict
from coterie.examples.example import PREFERENCE
from coterie.types import Judgement

Ranks = tuple[int, ...]
"""Of each candidate, in the example's order: 1 is the best, ties share the lower rank ("1224")."""

ENTRIES: Mapping[Verdict, tuple[float, float]] = {
    "a": (1.0, -1.0),
    "b": (-1.0, 1.0),
    "same_good": (0.5, 0.5),
    "same_bad": (-0.5, -0.5),
}
"""What a comparison of a and b adds to C[a][b] and to C[b][a]."""


def comparison_table(comparisons: Iterable[Comparison], n: int) -> list[list[float]]:
    """C [n, n]: what each candidate has won from each other; several labels of one pair add up."""
    table = [[0.0] * n for _ in range(n)]
    for said in comparisons:
        for_a, for_b = ENTRIES[said.verdict]
        table[said.a][said.b] += for_a
        table[said.b][said.a] += for_b
    return table


def max_logits_scores(table: Sequence[Sequence[float]]) -> list[float]:
    """Of each candidate i the sum over j of C[i][j] - C[j][i]: with one label a pair, 2 (wins - losses)."""
    everyone = range(len(table))
    return [math.fsum(table[i][j] - table[j][i] for j in everyone) for i in everyone]


def competition_ranks(scores: Sequence[float]) -> Ranks:
    """1 + the number of better scores; exactly equal ones share a rank."""
    return tuple(1 + sum(other > score for other in scores) for score in scores)


def ranks_of(comparisons: Iterable[Comparison], n: int) -> Ranks:
    """The ranks that comparisons give n candidates, whether or not every pair was compared."""
    return competition_ranks(max_logits_scores(comparison_table(comparisons, n)))


def compared_pairs(example: Example) -> frozenset[tuple[int, int]]:
    """The unordered pairs that carry a label, the lower place first."""
    return frozenset((min(c.a, c.b), max(c.a, c.b)) for c in example.comparisons)


def is_total(example: Example) -> bool:
    """True when there are at least two candidates and every pair of them carries a label."""
    everyone = range(len(example.candidates))
    return len(everyone) > 1 and compared_pairs(example) >= set(combinations(everyone, 2))


def label_ranks(example: Example) -> Ranks | None:
    """GPT-Rank of each candidate by the stored labels; ``None`` where a pair has none: ranks would be invented."""
    return ranks_of(example.comparisons, len(example.candidates)) if is_total(example) else None


def labelled_best(example: Example) -> frozenset[int] | None:
    """The places of the candidates labelled as the best; ``None`` where no label says which, or not of every one."""
    said = [text.scores.get(PREFERENCE) for text in example.candidates]
    if len(said) < 2 or None in said or not {0.0, 1.0} >= set(said):
        return None
    return frozenset(place for place, score in enumerate(said) if score == 1.0) or None


def decided_pairs(example: Example) -> Iterator[tuple[int, int]]:
    """(better, worse) of every label that prefers one of two; ties decide nothing."""
    for said in example.comparisons:
        if said.verdict == "a":
            yield said.a, said.b
        elif said.verdict == "b":
            yield said.b, said.a


# ---- one model as the measure -----------------------------------------------------------------


@dataclass(frozen=True)
class Credit:
    """What a pick earns against a model, by what the labels say of the two."""

    same_good: float
    same_bad: float
    itself: float
    """Where the pick is that model's own answer."""


AT_LEAST_AS_GOOD = Credit(same_good=1.0, same_bad=0.0, itself=1.0)
"""The table's ">= model" (2306.02561, table 2): better, or "same good".

The published numbers of these two columns cannot be recomputed: whether the model's own answer counts and
how "same bad" does is not written down, and a later script of the authors, which halves ties, gives other
numbers (58.3 where the table has 54.8). So they show a shape, and no gate should stand on them.
"""

HALVES = Credit(same_good=0.5, same_bad=0.0, itself=0.5)
"""A win rate as the authors' later script and AlpacaEval reckon it: a tie of good answers is half a win."""


@dataclass(frozen=True)
class Reference:
    """A model that others are measured against."""

    model: str
    by: str | None = None
    """Whose labels count; ``None`` for everybody's."""


def earned(example: Example, reference: Reference, credit: Credit) -> tuple[float | None, ...] | None:
    """What each candidate would earn against the reference; ``None`` for one that was not compared with it.

    ``None`` altogether where the reference has no answer here, or nothing was compared with it. Where several
    labels speak of a pair, their mean counts.
    """
    place = place_of(example, reference.model)
    if place is None:
        return None
    said: dict[int, list[float]] = {}
    for c in example.comparisons:
        if place in (c.a, c.b) and reference.by in (None, c.by):
            said.setdefault(c.b if c.a == place else c.a, []).append(_points(c, place, credit))
    if not said:
        return None
    means = {other: math.fsum(points) / len(points) for other, points in said.items()}
    return tuple(credit.itself if n == place else means.get(n) for n in range(len(example.candidates)))


def _points(said: Comparison, reference: int, credit: Credit) -> float:
    """What the other one of two earns."""
    if said.verdict == "same_good":
        return credit.same_good
    if said.verdict == "same_bad":
        return credit.same_bad
    return float((said.verdict == "b") == (said.a == reference))


def place_of(example: Example, model: str) -> int | None:
    """Where the answer of `model` stands; ``None`` unless there is exactly one."""
    places = [n for n, text in enumerate(example.candidates) if text.model == model]
    return places[0] if len(places) == 1 else None


# ---- a text that is no candidate --------------------------------------------------------------


def rank_of_text(example: Example, text: str, fresh: Sequence[Comparison] = ()) -> int:
    """The GPT-Rank of `text`: a candidate's from the stored labels, a new text's from fresh comparisons too.

    A new text stands at place ``len(example.candidates)`` of the fresh comparisons, and is ranked among all
    candidates and itself, so of N candidates' fusion the last rank is N + 1. Fresh and stored labels weigh
    the same: they should come from judges that agree. Raises `ConfigError` where the stored labels leave a
    pair open, or a new text was not compared with every candidate: a rank would be invented.
    """
    ranks = label_ranks(example)
    if ranks is None:
        raise ConfigError(f"example {example.id!r} has no rank to give: its labels leave pairs of candidates open")
    own = [rank for rank, candidate in zip(ranks, example.candidates, strict=True) if candidate.text == text]
    if own:
        return min(own)
    new = len(example.candidates)
    met = {c.a if c.b == new else c.b for c in fresh if new in (c.a, c.b)}
    if missing := sorted(set(range(new)) - met):
        raise ConfigError(
            f"a text that is no candidate of example {example.id!r} has no rank before it is compared with all "
            f"{new} of them; comparisons with {missing!r} are missing"
        )
    return ranks_of([*example.comparisons, *(c for c in fresh if new in (c.a, c.b))], new + 1)[new]


def comparisons_of(judgements: Iterable[Judgement], ids: Sequence[str]) -> list[Comparison]:
    """Judgements about two candidates as comparisons, by the ids' places; those about other numbers are passed over.

    Equal scores are a tie, a bad one where they lie below 0 (`ENTRIES`, which the judge `comparison` gives).
    """
    place = {id_: n for n, id_ in enumerate(ids)}
    return [
        Comparison(place[j.about[0]], place[j.about[1]], _verdict(*j.scores), j.judge)
        for j in judgements
        if len(j.about) == 2 and all(id_ in place for id_ in j.about)
    ]


def _verdict(a: float, b: float) -> Verdict:
    if a == b:
        return "same_bad" if a < 0 else "same_good"
    return "a" if a > b else "b"
