"""Training FORC's meta-model (2308.06077, section 3.1; defaults from its released configuration)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers.classifier import TextClassifier
from coterie.routers.forc import ForcRouter, Heads, prefix
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.reading import Reader
from coterie.training.routing.text_lessons import Taught, check_scores, outcomes_of, teach, untrained
from coterie.training.routing.text_settings import TextTraining


@dataclass(frozen=True)
class ForcRecipe(TextTraining):
    """One classifier for all members: how likely is each right? Scores in [0, 1] are soft targets.

    A score that is unknown is not learned from. The paper's base is DistilBERT; polynomial decay of power 1 is linear.
    """

    kind: ClassVar[str] = "forc"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    heads: Heads = "shared"
    """`shared`: one output, told the member by a prefix, as in the paper; `each`: one output a member, read at once."""
    networks: int = 1
    """Networks fitted from `seed`, `seed + 1` and so on, and averaged; the paper has one."""
    epochs: int = 10
    max_updates: int | None = 20_000
    learning_rate: float = 3e-5
    weight_decay: float = 0.01
    clip_norm: float = 0.1
    batch: int = 8
    evaluate_every: int | None = 1000
    seed: int = 123

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads not in ("shared", "each"):
            raise ConfigError(f"heads are 'shared' or for 'each', not {self.heads!r}")
        if self.networks < 1:
            raise ConfigError(f"networks is at least 1, not {self.networks!r}")

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> ForcRouter:  # noqa: ARG002
        """The classifier with the least loss on held-back prompts. Raises `ConfigError`, `MissingExtra`."""
        outcomes = outcomes_of(lessons, self.kind)
        check_scores(outcomes)
        seeded = (replace(self, seed=self.seed + number) for number in range(self.networks))
        first, *others = (one._network(outcomes, watch) for one in seeded)
        return ForcRouter(outcomes.members, first, self.heads, tuple(others))

    def _network(self, outcomes: Outcomes, watch: Watch) -> TextClassifier:
        from coterie.training.routing.text_rows import each_alone

        classifier = untrained(self, 1 if self.heads == "shared" else len(outcomes.members))
        rows = self._shared if self.heads == "shared" else _each
        teach(classifier, rows(outcomes, classifier.reader), each_alone, self, (self.kind, watch))
        return classifier

    def _shared(self, outcomes: Outcomes, reader: Reader) -> list[Taught]:
        known = []
        for column, member in enumerate(outcomes.members):
            rows = reader.rows(outcomes.prompts, prefix(member))
            scores = outcomes.scores[:, column].tolist()
            known += [Taught(*one) for one in zip(outcomes.prompts, rows, ((s,) for s in scores), strict=True)]
        return known


def _each(outcomes: Outcomes, reader: Reader) -> list[Taught]:
    rows = reader.rows(outcomes.prompts)
    return [Taught(*one) for one in zip(outcomes.prompts, rows, map(tuple, outcomes.scores.tolist()), strict=True)]
