"""Which columns given data can fill.

What labels cannot say is no column: ranks and Top-k need a label on every pair, best-of-N accuracy needs to
know the best, a win rate needs one model that the others were compared with.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from coterie.errors import ConfigError
from coterie.evaluation import correlation
from coterie.evaluation.columns import AgreementColumn, Column, CorrelationColumn, Head, OrderColumn, PickColumn
from coterie.evaluation.labels import (
    AT_LEAST_AS_GOOD,
    HALVES,
    Credit,
    Ranks,
    Reference,
    decided_pairs,
    earned,
    label_ranks,
    labelled_best,
    place_of,
)
from coterie.examples import Example
from coterie.examples.example import PREFERENCE

EVERYWHERE = 0.95
"""A model that answers this share of the examples counts as one that answers everything."""

PAPERS_METRICS = ("bertscore", "bartscore", "bleurt")
"""What table 2 shows of the nine that MixInstruct holds."""


def columns_of(
    examples: Sequence[Example], *, metrics: Sequence[str] = (), against: Sequence[str] = ()
) -> list[Column | CorrelationColumn]:
    """The columns that these examples can fill, picks first, whole orders last.

    `metrics` and `against` name scores and models to measure by instead of the paper's three metrics, and of
    the two best models (where every pair is labelled) or those that everything was compared with. Raises
    `ConfigError` for one that no example has.
    """
    _check(examples, metrics, against)
    wide = [ranks if ranks and len(ranks) > 2 else None for ranks in map(label_ranks, examples)]
    ranked = any(wide)
    picked: list[Column | CorrelationColumn] = [*_metrics(examples, metrics)]
    if ranked:
        picked += _gpt_ranks(examples, wide, against)
    else:
        picked += _win_rates(examples, against)
    best = _best_of_n(examples)
    picked += [best] if best else []
    agreement = _agreement(examples, headline=not ranked and best is None)
    picked += [agreement] if agreement else []
    return [*picked, *_orders(examples, wide)] if ranked else picked


def _check(examples: Sequence[Example], metrics: Sequence[str], against: Sequence[str]) -> None:
    known = set(metrics_of(examples, metrics))
    if unknown := [metric for metric in metrics if metric not in known]:
        raise ConfigError(f"no example has the score {unknown[0]!r} of all its candidates")
    for model in against:
        if not any(earned(example, Reference(model), HALVES) for example in examples):
            raise ConfigError(f"no candidate was compared with an answer of {model!r}")


def metrics_of(examples: Sequence[Example], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The scores that at least one example has for all of its candidates: those wanted, the paper's, or else all."""
    full = (set.intersection(*(set(t.scores) for t in e.candidates)) for e in examples if e.candidates)
    known = set().union(*full) - {PREFERENCE}
    chosen = [metric for metric in wanted or PAPERS_METRICS if metric in known]
    return tuple(chosen if chosen or wanted else sorted(known))


def references_of(examples: Sequence[Example]) -> tuple[Reference, ...]:
    """The models that everything one judge of the labels said was said against: the hubs of comparisons like a star."""
    common: dict[str, set[str]] = {}
    opponents: dict[str, set[str]] = {}
    for example in examples:
        for c in example.comparisons:
            pair = {example.candidates[c.a].model, example.candidates[c.b].model}
            common[c.by] = common[c.by] & pair if c.by in common else set(pair)
            opponents.setdefault(c.by, set()).update(pair)
    found = [Reference(next(iter(hub)), by) for by, hub in common.items() if len(hub) == 1 and len(opponents[by]) > 2]
    return tuple(reference for reference in found if reference.model)


def everywhere(examples: Sequence[Example], covered: Sequence[int]) -> tuple[str, ...]:
    """The models that answer nearly every one of the covered examples."""
    there = Counter(model for n in covered for model in {text.model for text in examples[n].candidates} if model)
    return tuple(sorted(model for model, times in there.items() if times >= EVERYWHERE * len(covered)))


def _metrics(examples: Sequence[Example], wanted: Sequence[str]) -> Iterator[PickColumn]:
    for metric in metrics_of(examples, wanted):
        worth = [tuple(text.scores.get(metric) for text in e.candidates) for e in examples]
        head = Head(
            metric, metric, f"mean {metric} of the picks, as the data has it", percent=False, digits=3, of_scores=True
        )
        yield PickColumn(head, [None if not w or None in w else w for w in worth])


def _gpt_ranks(
    examples: Sequence[Example], wide: Sequence[Ranks | None], against: Sequence[str]
) -> Iterator[PickColumn]:
    mean_rank = Head(
        "gpt_rank",
        "GPT-Rank",
        "mean rank of the picks by the labels",
        lower_is_better=True,
        percent=False,
        digits=2,
        headline=True,
    )
    yield PickColumn(mean_rank, wide)
    for model in against or _best_two(examples, wide):
        worth = [
            earned(e, Reference(model), AT_LEAST_AS_GOOD) if ranks else None
            for e, ranks in zip(examples, wide, strict=True)
        ]
        tells = f"share of the picks at least as good as {model}'s answer, its own among them (the paper's measure)"
        yield PickColumn(Head(f"at_least:{model}", f"≥ {model}", tells, says_nothing_of=model), worth)
    for k in (1, 2, 3):
        tells = "share of the picks ranked first" if k == 1 else f"share of the picks with rank {k} or better"
        head = Head(f"top_{k}", f"Top-{k}", tells, headline=k == 1)
        yield PickColumn(head, [tuple(float(rank <= k) for rank in ranks) if ranks else None for ranks in wide])


def _best_two(examples: Sequence[Example], wide: Sequence[Ranks | None]) -> list[str]:
    """The two models that the labels rank best, of those that answer everything."""
    covered = [n for n, ranks in enumerate(wide) if ranks]
    means: dict[str, float] = {}
    for model in everywhere(examples, covered):
        ranks = [r[p] for n in covered if (r := wide[n]) and (p := place_of(examples[n], model)) is not None]
        if ranks:
            means[model] = math.fsum(ranks) / len(ranks)
    return sorted(means, key=lambda model: means[model])[:2]


def _win_rates(examples: Sequence[Example], against: Sequence[str]) -> Iterator[PickColumn]:
    known = {reference.model: reference for reference in references_of(examples)}
    for model in against or known:
        yield _win_rate(examples, known.get(model, Reference(model)), HALVES)


def _win_rate(examples: Sequence[Example], reference: Reference, credit: Credit) -> PickColumn:
    tells = (
        f"share of examples in which the pick beats {reference.model}'s answer, a tie and that answer itself counted "
        "half; picked among the candidates that were compared with it, and itself"
    )
    worth = [earned(example, reference, credit) for example in examples]
    return PickColumn(Head(f"wins:{reference.model}", f"wins vs {reference.model}", tells, headline=True), worth)


def _best_of_n(examples: Sequence[Example]) -> PickColumn | None:
    worth: list[tuple[float, ...] | None] = []
    for example in examples:
        best = labelled_best(example) if len(example.candidates) > 2 else None
        worth.append(None if best is None else tuple(float(n in best) for n in range(len(example.candidates))))
    head = Head("best_of_n", "best of N", "share of examples whose pick is the labelled best", headline=True)
    return PickColumn(head, worth) if any(worth) else None


def _agreement(examples: Sequence[Example], *, headline: bool) -> AgreementColumn | None:
    pairs = [tuple(decided_pairs(example)) for example in examples]
    if not any(pairs):
        return None
    of_two = all(len(example.candidates) == 2 for example, decided in zip(examples, pairs, strict=True) if decided)
    heading = "accuracy" if of_two else "pairs agreed"
    tells = (
        "share of labelled pairs put in the label's order; a tied pair counts half, one labelled a tie does not count"
    )
    return AgreementColumn(Head("agreement", heading, tells, headline=headline, of_orders=not of_two), pairs)


def _orders(examples: Sequence[Example], wide: Sequence[Ranks | None]) -> Iterator[Column | CorrelationColumn]:
    places = [{text.model: n for n, text in enumerate(e.candidates)} for e in examples]
    if all(len(known) == len(e.candidates) and "" not in known for known, e in zip(places, examples, strict=True)):
        for name in ("Pearson", "Spearman"):
            tells = f"{name}'s correlation of a model's ranks with its ranks by the labels; the mean of the models"
            head = Head(name.casefold(), name, tells, percent=False, digits=3, of_orders=True)
            yield CorrelationColumn(head, wide, places, of_ranks=name == "Spearman")
    distance = Head(
        "footrule",
        "footrule",
        "sum of the ranks' distances",
        lower_is_better=True,
        percent=False,
        digits=2,
        of_orders=True,
    )
    yield OrderColumn(distance, wide, correlation.footrule, correlation.expected_footrule)
    tells = "mean Jaccard index of the sets of the first k, over k"
    sets = Head("set_based", "set-based", tells, percent=False, digits=3, of_orders=True)
    yield OrderColumn(sets, wide, correlation.set_based, correlation.expected_set_based)
