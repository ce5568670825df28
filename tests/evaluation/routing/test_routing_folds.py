"""Folds have routers of their own: what they say is made comparable, and a router that knows nothing is chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coterie.evaluation.routing.board import headline_of, measure
from coterie.evaluation.routing.folds import levelled
from coterie.evaluation.routing.forecasts import Forecasts
from coterie.evaluation.routing.ground import Pair, ground_of
from coterie.outcomes.outcome import Outcomes

FOLDS = np.arange(400) % 5


def outcomes(seed: int) -> Outcomes:
    """Scores that nothing in a prompt foretells."""
    unknown = np.full((400, 2), np.nan)
    scores = (np.random.default_rng(seed).random((400, 2)) < [0.5, 0.7]).astype(float)
    return Outcomes(("small", "large"), tuple(f"question {n}" for n in range(400)), scores, unknown, unknown)


def out_of_fold_means(scores: np.ndarray) -> np.ndarray:
    """What a router expects that has learned how good members are, and nothing of questions."""
    return np.stack([scores[fold != FOLDS].mean(axis=0) for fold in FOLDS])


@pytest.mark.parametrize("seed", range(5))
def test_a_router_that_reads_nothing_is_chance_to_the_last_bit(seed: int) -> None:
    data = outcomes(seed)
    ground = ground_of(data, Pair("small", "large"))
    blind = Forecasts("blind", out_of_fold_means(data.scores))
    whole = headline_of(replace(ground, folds=FOLDS), blind).value
    assert whole == pytest.approx(0.5, abs=1e-12)
    board = measure(replace(ground, folds=FOLDS), [blind])
    assert board.named["blind"].forecasts is not None
    np.testing.assert_array_equal(board.named["blind"].forecasts.quality, blind.quality)  # calibration is of these
    assert (headline_of(ground, blind).value or 1.0) < 0.499, (
        "one threshold over all folds would sort them the wrong way round"
    )


def test_levels_go_and_what_is_between_prompts_stays() -> None:
    said = np.random.default_rng(0).random((400, 2))
    shifts = np.array([0.0, 3.0, -7.0, 0.5, 100.0])[FOLDS][:, None]
    found = levelled(said + shifts, FOLDS)
    for fold in range(5):
        rows = found[fold == FOLDS]
        np.testing.assert_allclose(np.median(rows, axis=0), np.median(found[FOLDS == 0], axis=0), atol=1e-12)
        np.testing.assert_allclose(rows - rows[0], (said[fold == FOLDS] - said[fold == FOLDS][0]), atol=1e-12)


def test_what_is_unknown_stays_unknown() -> None:
    said = np.array([[1.0, np.nan], [2.0, np.nan], [5.0, 4.0], [7.0, np.nan]])
    found = levelled(said, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(said))
    assert found[2, 1] == 4.0
