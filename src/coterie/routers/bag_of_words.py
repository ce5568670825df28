"""The baseline that knows which words the question has, and nothing of what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError, MissingExtra
from coterie.outcomes.choosing import to_choose_by
from coterie.outcomes.outcome import Lessons
from coterie.prospects import Scale
from coterie.routers import ridge
from coterie.routers.forecast import Forecast, Kept, LearnsFrom, Queries, Reads, Vectors, Watch
from coterie.routers.words import Vocabulary, vocabulary_of
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BagOfWordsRouter:
    """A member's expected score is a sum of weights of the question's words and pairs of words (TF-IDF).

    It is not held between the lowest and the highest score. A decision costs a look-up of every word.
    """

    kind: ClassVar[str] = "bag_of_words"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    vocabulary: Vocabulary
    weights: Floats
    """(terms, members)."""
    intercepts: Doubles
    """(members,), the expected score of a question without a known word; NaN for a member without a known score."""

    def forecast(self, queries: Queries) -> Forecast:
        [said] = said_by_words(self.vocabulary, [self.weights], queries.texts)
        return Forecast(self.intercepts + said)

    def settings(self) -> Mapping[str, Json]:
        return {}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {**self.vocabulary.arrays(), "weights": self.weights, "intercepts": self.intercepts}

    @classmethod
    def load(cls, kept: Kept) -> BagOfWordsRouter:
        """The router that was saved. Raises `ConfigError`."""
        vocabulary = Vocabulary.load(kept.arrays)
        weights = weights_of(kept, "weights", len(vocabulary))
        return cls(kept.members, vocabulary, weights, intercepts_of(kept))


@dataclass(frozen=True)
class BagOfWordsRecipe:
    """TF-IDF of words and pairs of neighbouring words, and for each member a ridge regression of its score."""

    kind: ClassVar[str] = "bag_of_words"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    alpha: float = 10.0
    """Penalty of the squared weights; every question is a vector of length 1."""
    least_texts: int = 2
    """A term that stands in fewer prompts is not learned."""
    most_terms: int = 200_000
    """At most so many terms are learned, those in the most prompts."""

    def __post_init__(self) -> None:
        check_terms(self.alpha, self.least_texts, self.most_terms)
        if self.most_terms < 1:
            raise ConfigError(f"most_terms is at least 1, not {self.most_terms!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> BagOfWordsRouter:  # noqa: ARG002
        """The router with the least penalised squared error. Raises `ConfigError`, `MissingExtra`."""
        import numpy as np

        outcomes = to_choose_by(lessons, self.kind)
        check_scipy()
        watch("counting words", 0, 1)
        vocabulary = vocabulary_of(outcomes.prompts, self.least_texts, self.most_terms)
        rows = vocabulary.matrix(outcomes.prompts)
        watch("counting words", 1, 1)
        lines = ridge.fit([rows], outcomes.scores, self.alpha, lambda n, of: watch("fitting members", n, of))
        return BagOfWordsRouter(outcomes.members, vocabulary, lines.weights[0].astype(np.float32), lines.intercepts)


def said_by_words(vocabulary: Vocabulary, tables: Sequence[Floats], texts: Sequence[str]) -> list[Doubles]:
    """What the words of each text add up to in each table of weights (terms, columns): (texts, columns) each.

    Text by text, so that a text's row does not depend on its company.
    """
    import numpy as np

    said = [np.zeros((len(texts), table.shape[1])) for table in tables]
    for n, text in enumerate(texts):
        places, shares = vocabulary.row(text)
        for rows, table in zip(said, tables, strict=True):
            rows[n] = shares @ table[places]
    return said


def weights_of(kept: Kept, name: str, rows: int) -> Floats:
    """The weights (rows, members) of an artifact. Raises `ConfigError` for a table of another shape."""
    table = kept.arrays[name].astype("float32")
    if table.shape != (rows, len(kept.members)):
        raise ConfigError(f"{name} of {rows} features for {len(kept.members)} members have the shape {table.shape!r}")
    return table


def intercepts_of(kept: Kept) -> Doubles:
    """The intercepts (members,) of an artifact. Raises `ConfigError`."""
    found = kept.arrays["intercepts"].astype("float64")
    if found.shape != (len(kept.members),):
        raise ConfigError(f"{len(kept.members)} members have intercepts of the shape {found.shape!r}")
    return found


def check_terms(alpha: float, least_texts: int, most_terms: int) -> None:
    """Raises `ConfigError` for settings that no bag of words has."""
    if not alpha > 0:
        raise ConfigError(f"alpha is above 0, not {alpha!r}")
    if least_texts < 1:
        raise ConfigError(f"least_texts is at least 1, not {least_texts!r}")
    if most_terms < 0:
        raise ConfigError(f"most_terms is at least 0, not {most_terms!r}")


def check_scipy() -> None:
    """Raises `MissingExtra` where SciPy is not installed."""
    try:
        import scipy.sparse  # noqa: F401
    except ImportError as error:
        raise MissingExtra("fitting a bag of words", "routers", "scipy") from error
