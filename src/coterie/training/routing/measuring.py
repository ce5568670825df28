"""What a trained router is worth on prompts it has not learned from, beside what it has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.routing.board import Board, measure
from coterie.evaluation.routing.ground import complete, ground_of, likely_pair
from coterie.evaluation.significance import Bootstrap, Difference, Estimate, difference, estimate
from coterie.outcomes.lines import Watch
from coterie.outcomes.outcome import Battles, Outcomes
from coterie.outcomes.split import Sides
from coterie.prospects import Scale
from coterie.routers.artifact import Artifact
from coterie.routers.forecast import Queries
from coterie.training.routing.comparing import Setup, TextVectors, forecast, qualities
from coterie.training.routing.contenders import Contender, contender_of
from coterie.training.routing.trial import by_test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BASELINES = ("length", "bag_of_words")
"""Kinds that are fitted to the same prompts, so that a card says what reading no more than that is worth."""

FOR_CARDS = Bootstrap(resamples=1000)


@dataclass(frozen=True)
class Beside:
    """A figure, and the same of what the router has to beat on the same rows."""

    router: Estimate
    baseline: Estimate
    gain: Difference
    """The router less the baseline."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was found; ``None`` where the held-back data cannot say it."""

    board: Board | None = None
    """Prompts on which every member's score is known: the router, its baselines, single members, chance, the oracle."""
    squared_error: Beside | None = None
    """Of every known score, beside the member's mean over the learned prompts; of routers that expect scores."""
    accuracy: Beside | None = None
    """Share of decided battles that the better ranked member won, a tie half, beside one order for all prompts."""
    battles: int = 0
    """Held-back ones that somebody won."""
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""


def measured(artifact: Artifact, sides: Sides, vectors: TextVectors, watch: Watch) -> Measured:
    """Everything that the measured side can say. Raises `ConfigError` where that is nothing."""
    notes: list[str] = []
    outcomes, battles = sides.measured.outcomes, sides.measured.battles
    at = Trying(artifact, sides, vectors, watch)
    board = None if outcomes is None else _board(at, outcomes, notes)
    error = None if outcomes is None else _squared_error(at, *_said(at, board, outcomes))
    accuracy, decided = (None, 0) if battles is None else _accuracy(at, battles)
    if board is None and error is None and accuracy is None:
        raise ConfigError(f"nothing can be measured on the prompts that are held back: {'; '.join(notes) or 'no rows'}")
    return Measured(board, error, accuracy, decided, tuple(notes))


@dataclass(frozen=True, eq=False)
class Trying:
    """A router, what it has learned from, and how it is asked."""

    artifact: Artifact
    sides: Sides
    vectors: TextVectors
    watch: Watch

    def qualities(self, prompts: tuple[str, ...], members: tuple[str, ...]) -> Array:
        """(prompts, members); NaN for members that the router does not know."""
        reads_vectors = self.artifact.encoder_part is not None
        queries = Queries(prompts, self.vectors.of(prompts) if reads_vectors else None)
        fitted = self.artifact.fitted
        return qualities(fitted, queries, members, fitted.kind, self.watch)


# ---- prompts on which everything is known ---------------------------------------------------------


def _board(at: Trying, outcomes: Outcomes, notes: list[str]) -> Board | None:
    """The comparison; ``None``, and a note, where no prompt has every member's score."""
    artifact = at.artifact
    try:
        known, dropped = complete(outcomes.of([member for member in artifact.members if member in outcomes.members]))
        pair = likely_pair(known) if len(known.members) == 2 else None
        ground = ground_of(known, pair, bootstrap=FOR_CARDS)
    except ConfigError as error:
        notes.append(str(error))
        return None
    if dropped:
        notes.append(f"{dropped} held-back prompts are not compared on, since a member's score is unknown there")
    setup = Setup(by_test(at.sides.learned, ground.outcomes), at.vectors, artifact.prices)
    forecasts = []
    for contender in _contenders(artifact):
        try:
            forecasts.append(forecast(contender, setup, at.watch))
        except ConfigError as error:
            if contender.artifact is not None:
                raise
            notes.append(f"the baseline {contender.name} could not be fitted: {error}")
    return measure(ground, forecasts, at.watch)


def _contenders(artifact: Artifact) -> Iterator[Contender]:
    """The router first, each by its kind; a member may be called like one."""
    kind = artifact.fitted.kind
    for one in (Contender(kind, artifact=artifact), *(contender_of(name) for name in BASELINES if name != kind)):
        yield replace(one, name=f"{one.name} (router)") if one.name in artifact.members else one


# ---- what is known of some members ----------------------------------------------------------------


def _said(at: Trying, board: Board | None, outcomes: Outcomes) -> tuple[Outcomes, Array]:
    """Measured outcomes, and what was expected on them; of the comparison, where that was on all of them."""
    if board is not None and len(board.ground) == len(outcomes):
        found = board.forecast[0].forecasts
        assert found is not None  # noqa: S101 - it is one that forecast
        return board.ground.outcomes, found.quality
    return outcomes, at.qualities(outcomes.prompts, outcomes.members)


def _squared_error(at: Trying, outcomes: Outcomes, expected: Array) -> Beside | None:
    """Row by row the mean over the members whose score is known."""
    import numpy as np

    learned = at.sides.learned.outcomes
    if at.artifact.fitted.scale is not Scale.SCORE or learned is None:
        return None
    means = np.array([_mean(learned, member) for member in outcomes.members])
    there = ~np.isnan(outcomes.scores) & ~np.isnan(expected) & ~np.isnan(means)
    rows = there.any(axis=1)
    if not rows.any():
        return None
    ours, theirs = (
        (np.where(there, (said - outcomes.scores) ** 2, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))[rows]
        for said in (expected, np.broadcast_to(means, expected.shape))
    )
    return _beside(ours, theirs)


def _mean(outcomes: Outcomes, member: str) -> float:
    import numpy as np

    if member not in outcomes.members:
        return float("nan")
    scores = outcomes.scores[:, outcomes.members.index(member)]
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else float("nan")


def _accuracy(at: Trying, battles: Battles) -> tuple[Beside | None, int]:
    """On battles that somebody won; 1/2 where the two are told alike, or nothing is known of one."""
    import numpy as np

    decided = battles.rows(np.flatnonzero(battles.result != 0.5))
    if not len(decided):
        return None, 0
    rows = np.arange(len(decided))
    expected = at.qualities(decided.prompts, decided.members)
    order = np.array([_won(at.sides, member) for member in decided.members])[None]
    ours, theirs = (
        _right(said[row, decided.first], said[row, decided.second], decided.result)
        for said, row in ((expected, rows), (order, np.zeros_like(rows)))
    )
    return _beside(ours, theirs), len(decided)


def _right(first: Array, second: Array, result: Array) -> Array:
    import numpy as np

    ahead = np.nan_to_num(np.sign(first - second))
    return (1.0 + ahead * (2.0 * result - 1.0)) / 2.0


def _won(sides: Sides, member: str) -> float:
    """The share of its learned battles that it won, ties half; NaN where it fought none."""
    import numpy as np

    battles = sides.learned.battles
    if battles is None or member not in battles.members:
        return float("nan")
    place = battles.members.index(member)
    results = np.append(battles.result[battles.first == place], 1.0 - battles.result[battles.second == place])
    return float(results.mean()) if len(results) else float("nan")


def _beside(ours: Array, theirs: Array) -> Beside:
    one, other = ours.tolist(), theirs.tolist()
    return Beside(
        estimate(one, bootstrap=FOR_CARDS),
        estimate(other, bootstrap=FOR_CARDS),
        difference(one, other, bootstrap=FOR_CARDS),
    )
