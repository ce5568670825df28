"""Training RouteLLM's BERT classifier (2406.18665, section 4.2): the paper's settings, as no code was released."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.routers.against import others
from coterie.routers.bert import LABELS, BertRouter
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.reading import Reader
from coterie.training import surroundings
from coterie.training.routing.text_lessons import Taught, strongest, teach, untrained
from coterie.training.routing.text_settings import TextTraining

UNKNOWN = (math.nan,) * LABELS


@dataclass(frozen=True)
class BertRecipe(TextTraining):
    """Does the strong member win, is it a tie, or does the weak one win? From battles, outcomes, or both.

    Of more than two members each is compared with the strongest: three outputs for each of them. Battles between two
    others teach nothing then. The paper's base is BERT-base.
    """

    kind: ClassVar[str] = "bert"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes", "battles"})

    reference: str | None = None
    """The strong member; left out, the one with the highest mean score, or the largest share of battles won."""
    tie: float = 0.0
    """Scores that are no further apart are a tie."""
    max_tokens: int = 512
    epochs: int = 3
    max_updates: int | None = 2000
    learning_rate: float = 1e-5
    weight_decay: float = 0.01
    batch: int = 16
    evaluate_every: int | None = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tie < math.inf:
            raise ConfigError(f"tie is at least 0, not {self.tie!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> BertRouter:  # noqa: ARG002
        """The classifier with the least loss on held-back prompts. Raises `ConfigError`, `MissingExtra`."""
        surroundings.check()
        members = lessons.members
        if len(members) < 2:
            raise ConfigError(f"a router chooses among members, and {members!r} are not several")
        strong = _strong(lessons, self.reference)
        weak = others(members, strong)
        from coterie.training.routing.text_rows import among

        classifier = untrained(self, LABELS * len(weak))
        known = list(self._known(lessons, strong, weak, classifier.reader))
        if not any(max(one.target[n::LABELS]) > 0 for one in known for n in (0, 2)):
            raise ConfigError(f"there is nothing to learn from: nobody was ever better or worse than {strong!r}")
        teach(classifier, known, among(LABELS), self, (self.kind, watch))
        return BertRouter(members, strong, classifier)

    def _known(self, lessons: Lessons, strong: str, weak: tuple[str, ...], reader: Reader) -> Iterator[Taught]:
        if lessons.outcomes is not None:
            yield from self._of_outcomes(lessons.outcomes, strong, weak, reader)
        if lessons.battles is not None:
            yield from _of_battles(lessons.battles, strong, weak, reader)

    def _of_outcomes(self, outcomes: Outcomes, strong: str, weak: tuple[str, ...], reader: Reader) -> Iterator[Taught]:
        rows = reader.rows(outcomes.prompts)
        columns = [outcomes.members.index(member) if member in outcomes.members else None for member in weak]
        reference = outcomes.members.index(strong) if strong in outcomes.members else None
        for prompt, row, scores in zip(outcomes.prompts, rows, outcomes.scores.tolist(), strict=True):
            if reference is None:
                return
            lead = [math.nan if at is None else scores[reference] - scores[at] for at in columns]
            yield Taught(prompt, row, tuple(value for one in lead for value in label(one, self.tie)))


def label(lead: float, tie: float = 0.0) -> tuple[float, float, float]:
    """What a lead of the strong member is taught as: it wins, a tie, the weak one wins; NaN where it is unknown."""
    if math.isnan(lead):
        return math.nan, math.nan, math.nan
    return float(lead > tie), float(abs(lead) <= tie), float(lead < -tie)


def _of_battles(battles: Battles, strong: str, weak: tuple[str, ...], reader: Reader) -> Iterator[Taught]:
    rows = reader.rows(battles.prompts)
    fought = zip(battles.prompts, rows, battles.first.tolist(), battles.second.tolist(), battles.result, strict=True)
    for prompt, row, first, second, result in fought:
        names = (battles.members[first], battles.members[second])
        if strong not in names or names[0] == names[1]:
            continue
        lead = (2 * float(result) - 1) * (1 if names[0] == strong else -1)
        rival = names[1] if names[0] == strong else names[0]
        yield Taught(prompt, row, tuple(v for member in weak for v in (label(lead) if member == rival else UNKNOWN)))


def _strong(lessons: Lessons, named: str | None) -> str:
    if lessons.outcomes is not None:
        return strongest(lessons.outcomes, named) if named not in lessons.members else named
    if named is not None and named not in lessons.members:
        raise ConfigError(f"the reference {named!r} is none of the members {list(lessons.members)!r}")
    return named or _winner(lessons.battles)


def _winner(battles: Battles | None) -> str:
    """Who won the largest share of its battles, a tie counting half."""
    import numpy as np

    if battles is None or not len(battles):
        raise ConfigError("the router 'bert' learns from outcomes or battles, and there are none")
    n = len(battles.members)
    won = np.bincount(battles.first, battles.result, n) + np.bincount(battles.second, 1 - battles.result, n)
    fought = np.bincount(battles.first, minlength=n) + np.bincount(battles.second, minlength=n)
    return battles.members[int(np.argmax(np.where(fought > 0, won / np.maximum(fought, 1), -1.0)))]
