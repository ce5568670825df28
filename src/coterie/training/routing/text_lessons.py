"""From what members achieved to what a classifier is taught: checks that the recipes share, and the teaching itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers import forecast
from coterie.routers.classifier import TextClassifier
from coterie.routers.reading import Ids
from coterie.training import surroundings
from coterie.training.routing.text_settings import TextTraining

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.training.routing.text_rows import Loss, TextRow


@dataclass(frozen=True)
class Taught:
    """One reading of one prompt, and what is known of it."""

    prompt: str
    ids: Ids
    target: tuple[float, ...]


def outcomes_of(lessons: Lessons, kind: str) -> Outcomes:
    """The outcomes of at least two members. Raises `ConfigError`, `MissingExtra` without the extra `train`."""
    surroundings.check()
    if lessons.outcomes is None or not len(lessons.outcomes):
        raise ConfigError(f"the router {kind!r} learns from outcomes, and there are none")
    if len(lessons.outcomes.members) < 2:
        raise ConfigError(f"a router chooses among members, and {lessons.outcomes.members!r} are not several")
    return lessons.outcomes


def check_scores(outcomes: Outcomes) -> None:
    """Raises `ConfigError` for a score outside [0, 1], naming its place, and for scores that are all the same."""
    import numpy as np

    there = ~np.isnan(outcomes.scores)
    wrong = np.argwhere(there & ~((outcomes.scores >= 0) & (outcomes.scores <= 1)))
    if len(wrong):
        row, column = wrong[0]
        where = outcomes.places[row] if outcomes.places else f"prompt {row}"
        raise ConfigError(
            f"scores lie between 0 and 1, and that of {outcomes.members[column]!r} at {where} is "
            f"{float(outcomes.scores[row, column])!r}"
        )
    if there.sum() == 0 or np.ptp(outcomes.scores[there]) == 0:
        raise ConfigError("there is nothing to learn from: all scores are the same")


def strongest(outcomes: Outcomes, named: str | None) -> str:
    """The member that the others are compared with: the one that is named, or that with the highest mean score.

    Of equals the dearer by mean cost, then the first. Raises `ConfigError` for a name that is no member.
    """
    import numpy as np

    if named is not None:
        if named not in outcomes.members:
            raise ConfigError(f"the reference {named!r} is none of the members {list(outcomes.members)!r}")
        return named
    scores, costs = (_means(table) for table in (outcomes.scores, outcomes.costs_usd))
    order = np.lexsort((-np.nan_to_num(costs, nan=-1.0), -np.nan_to_num(scores, nan=-np.inf)))
    return outcomes.members[int(order[0])]


def _means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    known = (~np.isnan(table)).sum(0)
    return np.where(known > 0, np.nansum(table, 0) / np.maximum(known, 1), np.nan)


def found(base: str) -> str:
    """The folder of a model of the catalogue, fetched where it is not here; any other name is as it was.

    Raises `ModelFilesError` where it cannot be fetched.
    """
    from coterie import weights

    entry = weights.CATALOGUE.get(base)
    return str(weights.pull(base)) if entry is not None and entry.folder else base


def untrained(settings: TextTraining, n_labels: int) -> TextClassifier:
    """The base with a fresh head, the same for the same seed. Raises `ConfigError`."""
    from transformers import set_seed

    from coterie.routers.classifier import load_config, load_model, load_tokenizer

    set_seed(settings.seed)
    base = found(settings.base)
    config = load_config(base, num_labels=n_labels)
    if settings.drop_out is not None:
        for name in DROP_OUTS:
            if hasattr(config, name):
                setattr(config, name, settings.drop_out)
    model, report = load_model(base, "SequenceClassification", config=config)
    absent = [name for name in report["missing_keys"] if not name.startswith(HEADS)]
    if absent:
        raise ConfigError(f"the weights in {base!r} lack {sorted(absent)[:5]!r}")
    return TextClassifier(model, load_tokenizer(base), settings.max_tokens, settings.keep)


HEADS = ("classifier", "score", "head", "pre_classifier", "pooler", "bert.pooler")
"""What transformers calls the layers that a base without a head lacks."""

DROP_OUTS = ("classifier_dropout", "cls_dropout", "seq_classif_dropout")
"""What configurations call the head's drop-out."""


def teach(
    classifier: TextClassifier,
    known: Sequence[Taught],
    loss: Loss,
    settings: TextTraining,
    job: tuple[str, forecast.Watch],
) -> dict[str, float]:
    """Afterwards the classifier has learned; says the loss on what was held back. `job` is the kind and who watches.

    Raises `ConfigError` where nothing is known, or of too few prompts.
    """
    from coterie.training.routing.text_rows import Collator
    from coterie.training.routing.text_trainer import Logits, Teaching, taught

    learned, held = sides(known, settings)
    pad = classifier.tokenizer.pad_token_id or 0
    teaching = Teaching(Logits(classifier.model), learned, held, loss, Collator(pad))
    return taught(teaching, settings, *job)


def sides(known: Sequence[Taught], settings: TextTraining) -> tuple[list[TextRow], list[TextRow]]:
    """Rows to learn from and rows held back, split by prompt. Raises `ConfigError`."""
    from coterie.training.routing.text_rows import TextRow, held_back

    there = [one for one in known if not all(math.isnan(value) for value in one.target)]
    aside = held_back([one.prompt for one in there], settings.held_back, settings.seed)
    rows: Mapping[bool, list[TextRow]] = {True: [], False: []}
    for one in there:
        rows[one.prompt in aside].append(TextRow(one.ids, one.target))
    return rows[False], rows[True]
