"""Ridge regression of each member's score on all that is cheap to know of a question: words, meaning, length, topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from coterie.errors import ConfigError, RouterError
from coterie.outcomes.choosing import to_choose_by
from coterie.outcomes.outcome import Lessons
from coterie.prospects import Scale
from coterie.routers import ridge
from coterie.routers.bag_of_words import check_scipy, check_terms, intercepts_of, said_by_words, weights_of
from coterie.routers.forecast import Forecast, Kept, LearnsFrom, Queries, Reads, Vectors, Watch
from coterie.routers.length import logarithms
from coterie.routers.topics import Topics, topics_of
from coterie.routers.words import Terms, Vocabulary, vocabulary_of
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearRouter:
    """A member's expected score is a sum over the question's words, its vector, and its length's logarithm.

    Where the prompts it was fitted to are of named groups, the mean scores of the question's likely groups have a share
    in it. It is not held between the lowest and the highest score.
    """

    kind: ClassVar[str] = "linear"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "both"

    members: tuple[str, ...]
    vocabulary: Vocabulary
    words: Floats
    """(terms, members)."""
    vector: Floats
    """(dimensions, members)."""
    length: Doubles
    """(members,), for the standardised logarithm of 1 + characters."""
    standard: Doubles
    """The logarithms' mean and standard deviation, and the topics' share."""
    intercepts: Doubles
    """(members,); NaN for a member without a known score."""
    topics: Topics | None = None

    def forecast(self, queries: Queries) -> Forecast:
        """Raises `RouterError` for vectors of another encoder."""
        import numpy as np

        vectors = self._checked(queries)
        tables = [self.words] if self.topics is None else [self.words, self.topics.words]
        said = said_by_words(self.vocabulary, tables, queries.texts)
        mean, deviation, share = self.standard
        z = (logarithms(queries.texts) - mean) / deviation
        # No product of matrices: that one rounds a query otherwise when others stand beside it.
        meant = np.einsum("qd,dm->qm", vectors, self.vector).astype(np.float64)
        expected = self.intercepts + said[0] + meant + z[:, None] * self.length
        if self.topics is None:
            return Forecast(expected)
        return Forecast((1.0 - share) * expected + share * self.topics.expected(said[1], vectors))

    def settings(self) -> Mapping[str, Json]:
        return {}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        own = {name: getattr(self, name) for name in ("words", "vector", "length", "standard", "intercepts")}
        return {**self.vocabulary.arrays(), **own, **({} if self.topics is None else self.topics.arrays())}

    @classmethod
    def load(cls, kept: Kept) -> LinearRouter:
        """The router that was saved. Raises `ConfigError`."""
        vocabulary = Vocabulary.load(kept.arrays)
        words = weights_of(kept, "words", len(vocabulary))
        vector = weights_of(kept, "vector", len(kept.arrays["vector"]))
        length, standard = (kept.arrays[name].astype("float64") for name in ("length", "standard"))
        if length.shape != (len(kept.members),) or standard.shape != (3,):
            raise ConfigError(f"{len(kept.members)} members have no weights of length of the shape {length.shape!r}")
        topics = Topics.load(kept.arrays, len(vocabulary), len(kept.members))
        return cls(kept.members, vocabulary, words, vector, length, standard, intercepts_of(kept), topics)

    def _checked(self, queries: Queries) -> Floats:
        found = None if queries.vectors is None else queries.vectors.shape
        if queries.vectors is None or found != (len(queries), len(self.vector)):
            wanted = f"{len(queries)} vectors of {len(self.vector)} dimensions"
            raise RouterError(f"the router 'linear' reads {wanted}, and was given {found!r}: is it another encoder?")
        return queries.vectors


@dataclass(frozen=True)
class LinearRecipe:
    """One ridge regression on a question's TF-IDF words, its vector and its length, for each member.

    The weights say how large a block is beside the words, whose rows have length 1: a larger one is penalised less.
    """

    kind: ClassVar[str] = "linear"
    reads: ClassVar[Reads] = "both"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    alpha: float = 10.0
    """Penalty of the squared weights."""
    vector_weight: float = 0.5
    """Of the question's vector."""
    length_weight: float = 0.3
    """Of the standardised logarithm of its length; 0 leaves length out."""
    topic_share: float = 0.4
    """Share of the mean scores of the question's likely groups, where the data name groups; 0 leaves them out."""
    longest_term: int = 3
    """Words that follow each other and are counted together, at most; marks are words."""
    least_texts: int = 2
    """A term that stands in fewer prompts is not learned."""
    most_terms: int = 20_000
    """At most so many terms are learned, those in the most prompts; 0 leaves words out."""

    def __post_init__(self) -> None:
        check_terms(self.alpha, self.least_texts, self.most_terms)
        if not self.vector_weight > 0:
            raise ConfigError(f"vector_weight is above 0, not {self.vector_weight!r}")
        if not self.length_weight >= 0:
            raise ConfigError(f"length_weight is at least 0, not {self.length_weight!r}")
        if not 0 <= self.topic_share <= 1:
            raise ConfigError(f"topic_share is a share between 0 and 1, not {self.topic_share!r}")
        if self.longest_term < 1:
            raise ConfigError(f"longest_term is at least 1, not {self.longest_term!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> LinearRouter:
        """The router with the least penalised squared error. Raises `ConfigError`, `MissingExtra`."""
        import numpy as np

        outcomes = to_choose_by(lessons, self.kind)
        check_scipy()
        if vectors.outcomes is None or len(vectors.outcomes) != len(outcomes):
            n = 0 if vectors.outcomes is None else len(vectors.outcomes)
            raise ConfigError(f"{len(outcomes)} prompts need as many vectors, and there are {n}")
        watch("counting words", 0, 1)
        reading = Terms(self.longest_term, marks=True)
        vocabulary = vocabulary_of(outcomes.prompts, self.least_texts, self.most_terms, reading)
        rows = vocabulary.matrix(outcomes.prompts)
        watch("counting words", 1, 1)
        logs = logarithms(outcomes.prompts)
        mean, deviation = float(logs.mean()), float(logs.std()) or 1.0
        blocks: list[Any] = [
            rows,
            vectors.outcomes.astype(np.float64) * self.vector_weight,
            ((logs - mean) / deviation)[:, None] * self.length_weight,
        ]
        lines = ridge.fit(blocks, outcomes.scores, self.alpha, lambda n, of: watch("fitting members", n, of))
        topics = None
        if self.topic_share:
            groups, scores = outcomes.groups, outcomes.scores
            topics = topics_of(rows, vectors.outcomes, groups, scores, lambda n, of: watch("telling topics", n, of))
        words, vector, length = lines.weights
        return LinearRouter(
            outcomes.members,
            vocabulary,
            words.astype(np.float32),
            (vector * self.vector_weight).astype(np.float32),
            length[0] * self.length_weight,
            np.array([mean, deviation, self.topic_share]),
            lines.intercepts,
            topics,
        )
