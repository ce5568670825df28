"""Learning curves: the same comparison again, with fewer prompts to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.routing.board import headline_of
from coterie.evaluation.routing.learned import Learned
from coterie.training.routing.comparing import Setup, Watch, forecast

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Board
    from coterie.evaluation.significance import Estimate
    from coterie.training.routing.contenders import Contender


def learning_curve(
    contenders: Sequence[Contender],
    setup: Setup,
    board: Board,
    sizes: Sequence[int],
    watch: Watch = lambda *_: None,
) -> Learned:
    """The headline figure of each contender that learns, by the number of prompts; `board` has it for all of them.

    A size at which a contender cannot be fitted (a class is missing among so few prompts) is left out for it.
    """
    trial, key = setup.trial, board.headline
    full = trial.prompts_learned
    smaller = sorted({size for size in sizes if 0 < size < full})
    whole = {row.name: row.figures[key].estimate for row in board.forecast if key in row.figures}
    learners = [one for one in contenders if one.recipe is not None and one.name in whole]
    found: dict[str, dict[int, Estimate]] = {one.name: {full: whole[one.name]} for one in learners}
    done, total = 0, len(smaller) * len(learners)
    for size in smaller:
        part = replace(setup, trial=trial.smaller(size))
        for one in learners:
            watch("learning from less", done, total)
            try:
                found[one.name][size] = headline_of(board.ground, forecast(one, part))
            except ConfigError:
                continue
            finally:
                done += 1
    watch("learning from less", total, total)
    return Learned(found)
