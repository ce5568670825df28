"""Whether a way of answering beats a rival, said plainly: the best single member, or any other method."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coterie.evaluation.best_single import Verdict as Word
from coterie.evaluation.best_single import against_best
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.measured import Column, Measured
from coterie.evaluation.blending.rows import Variant
from coterie.evaluation.significance import Difference, Estimate


@dataclass(frozen=True)
class Verdict:
    """What a variant has over a rival by one measure, in a part."""

    variant: Variant
    rival: str
    """Its name."""
    measure: Measure
    part: str | None
    gain: Estimate
    """Ours less theirs: positive where our number is the larger one, better or not."""
    word: Word
    """Is ours better? ``no`` where it is worse; ``cannot tell`` where the interval holds 0, or there is none."""
    left_out: tuple[str, ...] = ()
    """Members that answered too little to be compared."""


class Rivals:
    """Verdicts by one measure, each reckoned once."""

    def __init__(self, measured: Measured, measure: Measure) -> None:
        self._measured = measured
        self.measure = measure
        self._singles = {
            measured.names[single]: measured.quality(single, measure) for single in measured.of_kind("single")
        }
        self._found: dict[tuple[Variant, str | None], Verdict | None] = {}

    def over_best_single(self, variant: Variant, part: str | None) -> Verdict | None:
        """Against the best of the members by themselves, whichever that truly is; ``None`` without one to compare."""
        if (variant, part) not in self._found:
            self._found[variant, part] = self._over_best_single(variant, part)
        return self._found[variant, part]

    def _over_best_single(self, variant: Variant, part: str | None) -> Verdict | None:
        measured, measure = self._measured, self.measure
        conversations = [place[:2] for place in measured.places_of(part)]
        ours, *others = (
            _upwards(measured.within(column, part), measure)
            for column in (measured.quality(variant, measure), *self._singles.values())
        )
        found = against_best(ours, dict(zip(self._singles, others, strict=True)), conversations, measured.bootstrap)
        if not found.best or found.gain.value is None:
            return None
        gain = _downwards(found.gain) if measure.lower_is_better else found.gain
        return Verdict(variant, found.best, measure, part, gain, found.verdict, found.left_out)

    def over(self, variant: Variant, rival: Variant, part: str | None) -> Verdict | None:
        """Against another method, on the questions that both answered; ``None`` where there are none."""
        measured, measure = self._measured, self.measure
        gain = measured.gain(measured.quality(variant, measure), measured.quality(rival, measure), part)
        if gain is None:
            return None
        return Verdict(variant, measured.names[rival], measure, part, gain.estimate, word_of(gain, measure))


def word_of(gain: Difference, measure: Measure) -> Word:
    """Whether a difference is for the better."""
    if gain.estimate.value is None or not gain.clear:
        return "cannot tell"
    return "yes" if measure.better(gain.estimate.value) > 0 else "no"


def _upwards(scores: list[float | None], measure: Measure) -> Column:
    """Scores of which more is better."""
    return tuple(None if score is None else measure.better(score) for score in scores)


def _downwards(found: Estimate) -> Estimate:
    """An estimate of the negative."""
    value, low, high = (None if of is None else -of for of in (found.value, found.high, found.low))
    return replace(found, value=value, low=low, high=high)
