"""What answers are worth: every metric, open for as long as an evaluation lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from coterie.errors import ConfigError, MissingWeights
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.metrics import Metric, OverGolds
from coterie.evaluation.metrics.consistency import consistency
from coterie.evaluation.metrics.golds import OpenOverGolds
from coterie.evaluation.metrics.metric import OpenMetric

ALIGNMENT = "alignscore"
"""Held against the passage and not against gold answers."""


@dataclass(frozen=True)
class Asked:
    """What an answer is held against."""

    gold: tuple[str, ...]
    context: str = ""


class Quality:
    """Open metrics."""

    def __init__(self, over_golds: Sequence[OpenOverGolds], alignment: OpenMetric | None) -> None:
        self._over_golds = over_golds
        self._alignment = alignment

    def of(self, texts: Sequence[str], asked: Sequence[Asked]) -> list[dict[str, float | None]]:
        """The scores of each text, by metric; equal pairs are computed once."""
        columns: dict[str, Sequence[float | None]] = {
            metric.name: metric.score(texts, [one.gold for one in asked]) for metric in self._over_golds
        }
        if self._alignment is not None:
            contexts, gold = [one.context for one in asked], [one.gold for one in asked]
            columns.update(consistency(self._alignment, texts, contexts, gold))
        return [{name: column[n] for name, column in columns.items()} for n in range(len(texts))]


@contextmanager
def opened(metrics: Sequence[Metric], skipped: list[str]) -> Iterator[Quality]:
    """The metrics, those without weights left out: `skipped` tells which, and why. Raises `ConfigError` for none."""
    with ExitStack() as stack:
        over_golds: list[OpenOverGolds] = []
        alignment: OpenMetric | None = None
        for metric in metrics:
            try:
                if metric.name.startswith(ALIGNMENT):
                    alignment = stack.enter_context(metric.open())
                else:
                    over_golds.append(stack.enter_context(OverGolds(metric).open()))
            except MissingWeights as error:
                skipped.append(f"{metric.name} is left out: {error}")
        if not over_golds:
            raise ConfigError("no metric is left to evaluate by; name one, such as --metric f1")
        yield Quality(over_golds, alignment)


SHOWN: Mapping[str, tuple[str, bool]] = {
    "bertscore": ("BERTScore F1", True),
    "f1": ("token F1", True),
    "exact_match": ("exact match", True),
    "rougeL": ("ROUGE-L", True),
    "alignscore": ("AlignScore", True),
}


def measure(metric: Metric) -> Measure:
    """A metric as a report shows it."""
    title, percent = SHOWN.get(metric.name, (metric.name, False))
    return Measure(metric.name, title, repr(metric), percent=percent, digits=2 if percent else 3)
