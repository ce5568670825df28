"""Which groups of the data a question is probably of, and what members achieved there in the mean.

The groups (benchmarks, subjects) that the training data name are labels that cost nothing. A question names none when
it is routed: it is told from its words and its vector, by a ridge regression on the groups' indicators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.routers import ridge
from coterie.routers.ridge import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

MOST = 100
"""Groups that are told apart, those of the most prompts."""

ALPHA = 1.0
"""Penalty of the regression on indicators."""

SHARPNESS = 50.0
"""What an expected indicator is multiplied by before the softmax: a lead of 0.1 makes a group 150 times as likely."""

PRIOR_PROMPTS = 20.0
"""Prompts of mean score that every group is taken to have, so that a small one's mean is not believed."""


@dataclass(frozen=True, eq=False)
class Topics:
    """Groups, told from words and vectors."""

    words: Floats
    """(terms, groups)."""
    vector: Floats
    """(dimensions, groups)."""
    intercepts: Doubles
    """(groups,)."""
    means: Doubles
    """(groups, members): mean scores; NaN for a member without a known score."""

    def likely(self, said_by_words: Doubles, vectors: Floats) -> Doubles:
        """How likely each group is, (queries, groups), rows adding up to 1; of what the words say and the vectors."""
        import numpy as np

        # No product of matrices: that one rounds a query otherwise when others stand beside it.
        said = self.intercepts + said_by_words + np.einsum("qd,dg->qg", vectors, self.vector)
        lead = np.exp(SHARPNESS * (said - said.max(axis=1, keepdims=True)))
        chances: Doubles = lead / lead.sum(axis=1, keepdims=True)
        return chances

    def expected(self, said_by_words: Doubles, vectors: Floats) -> Doubles:
        """The mean scores of a question's likely groups, (queries, members)."""
        import numpy as np

        found: Doubles = np.einsum("qg,gm->qm", self.likely(said_by_words, vectors), self.means)
        return found

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """As an artifact keeps it."""
        return {f"topic_{name}": getattr(self, name) for name in ("words", "vector", "intercepts", "means")}

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[np.generic]], terms: int, members: int) -> Topics | None:
        """What `arrays` gave; ``None`` where there is none. Raises `ValueError` for tables that do not fit."""
        if "topic_means" not in arrays:
            return None
        words, vector = (arrays[f"topic_{name}"].astype("float32") for name in ("words", "vector"))
        intercepts, means = (arrays[f"topic_{name}"].astype("float64") for name in ("intercepts", "means"))
        groups = len(intercepts)
        if words.shape != (terms, groups) or vector.shape[1:] != (groups,) or means.shape != (groups, members):
            raise ValueError(f"no {groups} topics have tables of the shapes {words.shape!r} and {means.shape!r}")
        return cls(words, vector, intercepts, means)


def topics_of(
    words: Block,
    vectors: Floats,
    groups: Sequence[str],
    scores: Doubles,
    done: Callable[[int, int], None] = ridge.silent,
) -> Topics | None:
    """The topics of prompts with these features and scores; ``None`` where fewer than two groups are named.

    A prompt without a group teaches nothing of groups. `done` is told as by `ridge.fit`, of groups.
    """
    import numpy as np

    counts = Counter(group for group in groups if group)
    names = sorted(name for name, _ in counts.most_common(MOST))
    if len(names) < 2:
        return None
    place = {name: n for n, name in enumerate(names)}
    mine = np.array([place.get(group, -1) for group in groups])
    indicators = np.where((mine >= 0)[:, None], mine[:, None] == np.arange(len(names)), np.nan)
    lines = ridge.fit([words, vectors.astype(np.float64)], indicators, ALPHA, done)
    told, meant = (weights.astype(np.float32) for weights in lines.weights)
    return Topics(told, meant, lines.intercepts, _means(mine, len(names), scores))


def _means(mine: NDArray[np.int64], groups: int, scores: Doubles) -> Doubles:
    """(groups, members), each drawn towards the member's mean over all prompts."""
    import numpy as np

    known = ~np.isnan(scores)
    counts = known.sum(axis=0)
    overall = np.where(counts > 0, np.where(known, scores, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    rows = [mine == n for n in range(groups)]
    sums = np.stack([np.where(known, scores, 0.0)[row].sum(axis=0) for row in rows])
    sizes = np.stack([known[row].sum(axis=0) for row in rows])
    means: Doubles = (sums + PRIOR_PROMPTS * overall) / (sizes + PRIOR_PROMPTS)
    return means
