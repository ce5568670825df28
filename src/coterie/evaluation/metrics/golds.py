"""Any metric over several gold answers.

    with OverGolds(build("f1")).open() as metric:
        metric.score(["Mickey"], [["Mickey Mouse", "Mickey"]])  # [1.0]

Every (answer, gold) pair goes to the metric in one call, which computes equal pairs once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from coterie.evaluation.metrics.metric import Metric, OpenMetric

Over = Literal["max", "leave_one_out"]


@dataclass(frozen=True)
class OverGolds:
    """A metric, and what is made of an answer's scores against several gold answers.

    `max` is SQuAD's way: the score against the gold answer that suits it best. `leave_one_out` is CoQA's and QuAC's,
    which make numbers comparable with those of people: each annotator is left out in turn, the best score against
    the others is taken, and the mean of these is the score. For n scores of which m is the best and s the second
    best, that is ((n - 1) m + s) / n. Of a single gold answer both are its score.

    Left out are annotators, not texts: for numbers like CoQA's, give every annotator's answer, equal ones too. Equal
    ones change nothing for `max`.
    """

    metric: Metric
    over: Over = "max"

    @property
    def name(self) -> str:
        """The column of its scores."""
        return self.metric.name if self.over == "max" else f"{self.metric.name}:{self.over}"

    @contextmanager
    def open(self) -> Iterator[OpenOverGolds]:
        """The metric, open until the block ends. Raises what opening the metric raises."""
        with self.metric.open() as metric:
            yield OpenOverGolds(self.name, metric, self.over)


class OpenOverGolds:
    """An open metric over several gold answers."""

    def __init__(self, name: str, metric: OpenMetric, over: Over = "max") -> None:
        self.name = name
        self._metric = metric
        self._over: Over = over

    @property
    def cut(self) -> int:
        """How many texts were too long so far, and were scored by the part that was read."""
        return self._metric.cut

    def score(
        self, answers: Sequence[str], golds: Sequence[Sequence[str]], sources: Sequence[str] | None = None
    ) -> list[float | None]:
        """The score of each answer against the gold answers at its place.

        Gold answers of which no score can be made (blank ones, among others) are as good as absent; an answer of
        which there is no other has ``None``. Raises `ValueError` where the sequences differ in length.
        """
        if isinstance(golds, str) or any(isinstance(of, str) for of in golds):
            raise TypeError("golds are a sequence of gold answers for each answer, not one text")
        lengths = [len(column) for column in (answers, golds, sources) if column is not None]
        if len(set(lengths)) > 1:
            raise ValueError(f"answers, golds and sources differ in length: {lengths!r}")
        places = [place for place, of in enumerate(golds) for _ in of]
        found = iter(
            self._metric.score(
                [answers[place] for place in places],
                [gold for of in golds for gold in of],
                None if sources is None else [sources[place] for place in places],
            )
        )
        return [over_golds([next(found) for _ in of], self._over) for of in golds]


def over_golds(scores: Sequence[float | None], over: Over = "max") -> float | None:
    """What an answer's scores against each of its gold answers come to; ``None`` where none is known."""
    known = sorted((score for score in scores if score is not None), reverse=True)
    if not known:
        return None
    if over == "max" or len(known) == 1:
        return known[0]
    return ((len(known) - 1) * known[0] + known[1]) / len(known)
