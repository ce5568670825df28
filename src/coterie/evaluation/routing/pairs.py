"""A router between two members, measured by the share of calls that go to the strong one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.evaluation.routing import advantage, pgr, routellm
from coterie.evaluation.routing.advantage import ADVANTAGES, Advantage
from coterie.evaluation.routing.curves import area, first
from coterie.evaluation.routing.samples import Figure
from coterie.evaluation.routing.sweeps import by_preference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.evaluation.routing.ground import Ground

    Array = NDArray[np.float64]

ARRAYS_HELD = 4
"""Of a number for each change, while a sample's curve is computed."""

DROPS = tuple(f"drop{advantage:.0%}".removesuffix("%") for advantage in ADVANTAGES)

KEYS = (*pgr.KEYS, *DROPS, "spared")
"""``spared``: the share of calls that the weak member can take while at most 1 % of quality is lost."""


@dataclass(frozen=True, eq=False)
class PairFound:
    """What was found of one router."""

    figures: dict[str, Figure]
    """Under `KEYS`."""
    as_routellm: dict[str, float] | None
    """`routellm_table`; ``None`` where it has no result."""
    why_not: str
    curve: tuple[Array, Array]
    """Share of strong calls, and quality."""
    chosen: tuple[Advantage, Advantage] | None
    """Hybrid LLM's threshold on the prompts it was chosen on, and on the others; ``None`` for too few prompts."""


def of_router(ground: Ground, quality: Array) -> PairFound:
    """What there is to say of forecasts (prompts, members). Raises `ValueError` where a quality is unknown."""
    preference, weak, strong = ground.preference(quality), ground.weak, ground.strong
    sweep = by_preference(preference, weak, strong)

    def statistic(weights: Array) -> Array:
        import numpy as np

        curves = sweep.curves(weights)
        return np.concatenate(
            [pgr.of_curves(*curves), advantage.drops(*curves), _spared(*curves)[:, None]],
            axis=1,
        )

    figures = dict(zip(KEYS, ground.samples.figures(statistic, ARRAYS_HELD * sweep.changes), strict=True))
    table, why_not = _as_routellm(preference, weak, strong)
    return PairFound(figures, table, why_not, sweep.curve(), _chosen(ground, preference))


def of_oracle(ground: Ground) -> dict[str, Figure]:
    """APGR of knowing every score beforehand: nobody is sent to the strong member to lose."""
    import numpy as np

    weak, strong = ground.weak, ground.strong
    sweep = by_preference(strong - weak, weak, np.maximum(weak, strong))

    def statistic(weights: Array) -> Array:
        share, quality = sweep.curves(weights)
        ends = [weights @ of / weights.sum(axis=1) for of in (weak, strong)]
        auc = area(share, quality)
        cpt = [first(share, quality, ends[0] + level * (ends[1] - ends[0])) for level in pgr.LEVELS]
        return np.stack([pgr.pgr(auc, *ends), auc, *cpt], axis=1)

    found = ground.samples.figures(statistic, ARRAYS_HELD * sweep.changes)
    return dict(zip(KEYS, found, strict=False))


def _spared(share: Array, quality: Array) -> Array:
    import numpy as np

    large = quality[:, -1]
    return 1 - first(share, quality, large - advantage.MOST_DROP * np.abs(large))


def _as_routellm(preference: Array, weak: Array, strong: Array) -> tuple[dict[str, float] | None, str]:
    try:
        return routellm.routellm_table(preference, weak, strong), ""
    except ValueError as error:
        return None, str(error)


def _chosen(ground: Ground, preference: Array) -> tuple[Advantage, Advantage] | None:
    """Hybrid LLM's threshold, chosen on prompts that the seed draws; those of one text stay together."""
    import numpy as np

    texts = {text: n for n, text in enumerate(dict.fromkeys(ground.outcomes.prompts))}
    if len(texts) < 2 * advantage.SAMPLES:
        return None
    drawn = np.random.default_rng(ground.bootstrap.seed).permutation(len(texts))[: advantage.SAMPLES]
    on = np.isin([texts[text] for text in ground.outcomes.prompts], drawn)
    found = advantage.chosen_threshold(preference[on], ground.weak[on], ground.strong[on])
    return found, advantage.applied(found.threshold, preference[~on], ground.weak[~on], ground.strong[~on])
