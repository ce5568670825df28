"""The rows of a table of rankers: whatever can be told to pick one of an example's candidates.

A row is told by its places, example by example. So a trained ranker, an oracle, a single model and chance are
measured by the same columns, and nothing is known of how a row came to its picks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from coterie.evaluation.labels import (
    HALVES,
    Ranks,
    Reference,
    competition_ranks,
    earned,
    label_ranks,
    labelled_best,
    place_of,
)
from coterie.evaluation.strength import strengths
from coterie.examples import Example

Places = tuple[int | None, ...]
"""Of each candidate its rank, 1 the first picked; ``None`` for one that is never picked."""

ORDERED = "fixed order of models"

Kind = Literal["model", "oracle", "chance", "baseline", "judge"]


@dataclass(frozen=True)
class Row:
    """Something that picks."""

    name: str
    kind: Kind
    places: Sequence[Places | None] = field(repr=False)
    """For each example; ``None`` where it can pick nothing there (a model that gave no answer)."""
    orders: bool = True
    """True when its places say something of every candidate, and not of the pick alone."""
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting its numbers."""


def picks(places: Places, among: Sequence[int]) -> list[int]:
    """The places that are picked `among` some: those ranked first of them, several where they are tied."""
    ranked = [(rank, n) for n in among if (rank := places[n]) is not None]
    if not ranked:
        return []
    first = min(ranked)[0]
    return [n for rank, n in ranked if rank == first]


def chance(examples: Sequence[Example]) -> Row:
    """A pick drawn at random, whose columns are expected values: every candidate is tied for the first place."""
    return Row("random", "chance", [tuple(1 for _ in e.candidates) for e in examples])


def longest(examples: Sequence[Example]) -> Row:
    """The longest answer in characters, which is what the judge `length` picks."""
    return Row("longest", "baseline", [competition_ranks([len(t.text) for t in e.candidates]) for e in examples])


def of_model(model: str, examples: Sequence[Example]) -> Row:
    """Always this model's answer."""
    return Row(model, "model", [_only(place_of(e, model), len(e.candidates)) for e in examples], orders=False)


def _only(place: int | None, n: int) -> Places | None:
    return None if place is None else tuple(1 if other == place else None for other in range(n))


def of_models_in_order(examples: Sequence[Example]) -> Row | None:
    """Every prompt's candidates in one order of the models, that of their strength by the labels.

    What can be known of a candidate without reading it. ``None`` where there is no label.
    """
    known = strengths(examples)
    if not known:
        return None
    places = [_by_worth([known.get(text.model) for text in example.candidates]) for example in examples]
    note = f"{ORDERED} is that of their Bradley-Terry strength by these very labels, which favours it"
    return Row(ORDERED, "model", [p if any(p) else None for p in places], notes=(note,))


def of_ranks(name: str, kind: Kind, ranks: Sequence[Ranks], notes: Sequence[str] = ()) -> Row:
    """What a judge made of every example."""
    return Row(name, kind, ranks, notes=tuple(notes))


def models(examples: Sequence[Example]) -> tuple[str, ...]:
    """Every model, by name, where each candidate of each example names one that no other of it has; else none."""
    for example in examples:
        names = [text.model for text in example.candidates]
        if not all(names) or len(set(names)) < len(names):
            return ()
    return tuple(sorted({text.model for example in examples for text in example.candidates}, key=str.casefold))


# ---- oracles ----------------------------------------------------------------------------------


def oracle_by_labels(examples: Sequence[Example]) -> Row | None:
    """Who knows the labels that say which candidate is best: the most that any judge can reach by them.

    Ranks where every pair is labelled, else the labelled best before the others; ``None`` where there is neither.
    """
    places = [label_ranks(example) or _best_first(example) for example in examples]
    return Row("oracle (labels)", "oracle", places) if any(places) else None


def _best_first(example: Example) -> Places | None:
    best = labelled_best(example)
    return None if best is None else tuple(1 if n in best else 2 for n in range(len(example.candidates)))


def oracle_against(reference: Reference, examples: Sequence[Example]) -> Row:
    """Who picks, of the candidates compared with the reference, one that the labels prefer to it."""
    worth = [earned(example, reference, HALVES) for example in examples]
    places = [None if w is None else _by_worth(w) for w in worth]
    return Row(f"oracle (wins vs {reference.model})", "oracle", places, orders=False)


def oracle_by_metric(metric: str, examples: Sequence[Example]) -> Row:
    """Who picks by a score against the reference text, of the examples whose candidates all have it."""
    worth = [tuple(text.scores.get(metric) for text in example.candidates) for example in examples]
    places = [None if not w or None in w else _by_worth(w) for w in worth]
    return Row(f"oracle ({metric})", "oracle", places)


def _by_worth(worth: Sequence[float | None]) -> Places:
    """The best first; what has no worth is never picked."""
    known = [value for value in worth if value is not None]
    ranks = iter(competition_ranks(known))
    return tuple(None if value is None else next(ranks) for value in worth)
