"""Metrics: how good a text is against a reference. A name for each; nothing is loaded until one is opened.

with build("rougeL").open() as metric:
    metric.score(hypotheses, references)

`OverGolds` holds any of them against several gold answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, cast

from coterie.errors import ConfigError
from coterie.evaluation.metrics.golds import OverGolds
from coterie.evaluation.metrics.metric import Metric, OpenMetric, Pair

__all__ = ["NAMES", "Metric", "OpenMetric", "OverGolds", "Pair", "build"]

_PLACES: Mapping[str, str] = {
    "rouge1": "rouge:Rouge",
    "rouge2": "rouge:Rouge",
    "rougeL": "rouge:Rouge",
    "rougeLsum": "rouge:Rouge",
    "bleu": "bleu:Bleu",
    "bertscore": "bertscore:BertScore",
    "bartscore": "bartscore:BartScore",
    "bleurt": "bleurt:Bleurt",
    "likelihood": "likelihood:Likelihood",
    "f1": "token_f1:TokenF1",
    "exact_match": "exact_match:ExactMatch",
    "alignscore": "alignscore:AlignScore",
}

NAMES = tuple(_PLACES)
"""The metrics there are; those that MixInstruct holds scores of, by the names it has for them."""


def build(name: str, **settings: Any) -> Metric:
    """The metric called `name`, its settings being those of its class. Raises `ConfigError` naming what there is."""
    from coterie.specs import fill

    if name not in _PLACES:
        close = get_close_matches(str(name), NAMES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{name!r} is none of the metrics: {', '.join(NAMES)}{hint}")
    module, _, attribute = _PLACES[name].partition(":")
    cls = getattr(import_module(f"{__name__}.{module}"), attribute)
    return cast(Metric, fill(cls, settings, ("metrics", name), name=name))
