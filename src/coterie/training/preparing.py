"""Examples made ready to be read: tokenised once, without what nothing can be learned from, and what was left out."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.examples import Example
from coterie.training.quality import Quality, mean, qualities

REFERENCE = -1
"""The place of an example's reference text among those that are read together."""


@dataclass(frozen=True)
class Ids:
    """A row that a network reads, or a part of one, held in little memory."""

    ids: array[int]
    marks: tuple[int, ...] = ()
    """The places whose states the network's head reads; none in a part."""


@dataclass(frozen=True)
class Tokens:
    """An example's texts as a ranker reads them."""

    source: Ids | None
    """``None`` where the candidates' own rows hold the source."""
    candidates: tuple[Ids, ...]
    reference: Ids | None = None
    cut: bool = False
    """True when some text did not fit."""


class Reader(Protocol):
    """The part of a ranker's kind that tokenises."""

    def read(self, source: str, texts: Sequence[str], reference: str) -> Tokens:
        """The texts' ids, cut to what fits."""
        ...


@dataclass(frozen=True)
class Prepared:
    """An example with at least two distinct candidates whose quality is known."""

    example: Example
    places: tuple[int, ...]
    """Of its candidates in the example; all that follows is in this order."""
    tokens: Tokens
    qualities: tuple[Quality, ...]

    @property
    def texts(self) -> list[str]:
        return [self.example.candidates[place].text for place in self.places]

    @property
    def lengths(self) -> list[int]:
        """Of the candidates, in characters."""
        return [len(text) for text in self.texts]

    def leaning(self, places: Iterable[int]) -> int:
        """1 where the best of these places has a longer text than the worst, -1 where it has a shorter one, else 0."""
        own = [place for place in places if place != REFERENCE]
        best = max(own, key=lambda place: mean(self.qualities[place]))
        worst = min(own, key=lambda place: mean(self.qualities[place]))
        ahead = self.lengths[best] - self.lengths[worst]
        return (ahead > 0) - (ahead < 0)


@dataclass(frozen=True)
class Preparing:
    """What becomes of examples on their way to training."""

    reader: Reader
    metrics: tuple[str, ...]
    ties: bool = False
    """Keep examples whose candidates are all equally good."""

    def all(self, examples: Iterable[Example], left_out: Counter[str]) -> Iterator[Prepared]:
        """Those that can be used; `left_out` counts the others, and candidates, by the reason."""
        for example in examples:
            made = self.one(example, left_out)
            if isinstance(made, str):
                left_out[made] += 1
            else:
                yield made

    def one(self, example: Example, left_out: Counter[str]) -> Prepared | str:
        """The example made ready, or why it is left out."""
        if len(example.candidates) < 2:
            return "examples with one candidate" if example.candidates else "examples without candidates"
        if not example.source.strip():
            return "examples without a question"
        said = qualities(example, self.metrics)
        if not any(said):
            return "examples without labels"
        known = _usable(example, said, left_out)
        if len(known) < 2:
            return "examples with one usable candidate"
        return self._tokenised(example, known, left_out)

    def _tokenised(self, example: Example, known: dict[int, Quality], left_out: Counter[str]) -> Prepared | str:
        tokens = self.reader.read(example.source, [example.candidates[place].text for place in known], example.output)
        first = distinct([candidate.ids.tobytes() for candidate in tokens.candidates])
        left_out["candidates equal to another, as they are read"] += len(known) - len(first)
        if len(first) < 2:
            return "examples whose texts are equal, as they are read"
        places = [place for n, place in enumerate(known) if n in set(first)]
        found = tuple(known[place] for place in places)
        if not self.ties and len(set(found)) == 1:
            return "examples whose candidates are equally good"
        kept = Tokens(tokens.source, tuple(tokens.candidates[n] for n in first), tokens.reference, tokens.cut)
        return Prepared(example, tuple(places), kept, found)


def _usable(example: Example, said: Sequence[Quality | None], left_out: Counter[str]) -> dict[int, Quality]:
    """The qualities of the candidates that have text and labels, by place."""
    known = {}
    for place, quality in enumerate(said):
        if not example.candidates[place].text.strip():
            left_out["candidates without text"] += 1
        elif quality is None:
            left_out["candidates without labels"] += 1
        else:
            known[place] = quality
    return known


def distinct(keys: Sequence[object]) -> list[int]:
    """The places of the keys that occur for the first time."""
    first: dict[object, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    return list(first.values())
