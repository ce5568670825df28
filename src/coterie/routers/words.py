"""Texts as bags of words: words and neighbours of them together, weighed by TF-IDF."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = re.compile(r"\w+")
"""Letters, digits and underscores of any script, one after another."""

WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")

READ_CHARACTERS = 50_000
"""Of a text; what lies behind them is not read, so that no request takes long."""


@dataclass(frozen=True)
class Terms:
    """What of a text is counted."""

    longest: int = 2
    """So many neighbouring words make a term, at most."""
    marks: bool = False
    """True where every punctuation mark and every symbol is a word too."""

    def of(self, text: str) -> list[str]:
        """The words, in small letters, and all that follow each other; as often as they stand there."""
        words = (WORD_OR_MARK if self.marks else WORD).findall(text[:READ_CHARACTERS].lower())
        runs = (zip(*(words[n:] for n in range(size)), strict=False) for size in range(2, self.longest + 1))
        return words + [" ".join(run) for of_size in runs for run in of_size]


WORDS_AND_PAIRS = Terms()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms that are known, and how much each says."""

    terms: tuple[str, ...]
    idf: NDArray[np.float64]
    """(terms,): ln((1 + texts) / (1 + texts with the term)) + 1."""
    reading: Terms = WORDS_AND_PAIRS

    def __len__(self) -> int:
        return len(self.terms)

    def row(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The places of the text's known terms, and their weights: (1 + ln count) idf, together of length 1."""
        import numpy as np

        known = self._places
        counts = Counter(known[term] for term in self.reading.of(text) if term in known)
        places = np.fromiter(counts.keys(), dtype=np.int64, count=len(counts))
        weights = (1.0 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))) * self.idf[places]
        length = math.sqrt(float(weights @ weights))
        return places, weights / length if length else weights

    def matrix(self, texts: Sequence[str]) -> Any:
        """The rows of many texts: a sparse matrix of SciPy's, (texts, terms)."""
        import numpy as np
        from scipy.sparse import csr_matrix

        rows = [self.row(text) for text in texts]
        ends = np.cumsum([0, *(len(places) for places, _ in rows)])
        places = np.concatenate([places for places, _ in rows]) if rows else np.zeros(0, dtype=np.int64)
        weights = np.concatenate([weights for _, weights in rows]) if rows else np.zeros(0)
        return csr_matrix((weights, places, ends), shape=(len(rows), len(self)))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """As an artifact keeps it; no term holds a line's end."""
        import numpy as np

        text = "\n".join(self.terms).encode("utf-8", "surrogatepass")
        reading = np.array([self.reading.longest, self.reading.marks], dtype=np.int64)
        return {"terms": np.frombuffer(text, dtype=np.uint8), "idf": self.idf, "reading": reading}

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Vocabulary:
        """What `arrays` gave. Raises `KeyError` and `ValueError` for what it did not."""
        text = arrays["terms"].tobytes().decode("utf-8", "surrogatepass")
        terms, idf = tuple(text.split("\n")) if text else (), arrays["idf"]
        if len(terms) != len(idf):
            raise ValueError(f"{len(terms)} terms have {len(idf)} weights")
        longest, marks = arrays["reading"].tolist()
        return cls(terms, idf.astype("float64"), Terms(longest, bool(marks)))

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {term: place for place, term in enumerate(self.terms)}


def vocabulary_of(
    texts: Sequence[str], least_texts: int, most_terms: int, reading: Terms = WORDS_AND_PAIRS
) -> Vocabulary:
    """The terms that stand in at least `least_texts` texts; of too many those in the most, equals by alphabet."""
    import numpy as np

    standing = Counter(term for text in texts for term in set(reading.of(text)))
    often = [(n, term) for term, n in standing.items() if n >= least_texts]
    often.sort(key=lambda one: (-one[0], one[1]))
    kept = sorted(often[:most_terms], key=lambda one: one[1])
    counts = np.array([n for n, _ in kept], dtype=np.float64)
    return Vocabulary(tuple(term for _, term in kept), np.log((1 + len(texts)) / (1 + counts)) + 1, reading)
