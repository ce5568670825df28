"""Battles made of outcomes: of any two members that answered a prompt, the one with the higher score has won."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.outcomes.outcome import Battles, Outcomes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pairs:
    """Who fought whom over which prompt, and how it ended."""

    prompt: NDArray[np.int64]
    """(battles,), rows of the scores."""
    first: NDArray[np.int64]
    """(battles,), columns of the scores."""
    second: NDArray[np.int64]
    result: NDArray[np.float64]
    """(battles,): 1 where the first has the higher score, 0 where the second has, 1/2 where they are equal."""

    def __len__(self) -> int:
        return len(self.prompt)


def pairs_of(scores: NDArray[np.float64]) -> Pairs:
    """Every pair of columns in every row, but where one of the two scores is NaN: prompt by prompt, in pool order.

    `scores` is (prompts, members). A member is never its own opponent, and each pair fights once a prompt.
    """
    import numpy as np

    left, right = np.triu_indices(scores.shape[1], k=1)
    difference = scores[:, left] - scores[:, right]
    prompt, pair = np.nonzero(~np.isnan(difference))
    return Pairs(prompt, left[pair], right[pair], (1.0 + np.sign(difference[prompt, pair])) / 2.0)


def battles_of(outcomes: Outcomes) -> Battles:
    """The battles that `outcomes` tell of, in the order of `pairs_of`, each with its prompt's text and place."""
    pairs = pairs_of(outcomes.scores)
    return Battles(
        members=outcomes.members,
        prompts=tuple(outcomes.prompts[row] for row in pairs.prompt),
        first=pairs.first,
        second=pairs.second,
        result=pairs.result,
        places=tuple(outcomes.places[row] for row in pairs.prompt) if outcomes.places else (),
    )
