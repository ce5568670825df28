"""A blending evaluation in words: what was run, whether it beat the best single member, and what to be wary of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.header import Measure
from coterie.evaluation.blending.laying import few
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.rows import FULL_RANKING, Variant
from coterie.evaluation.blending.spending import differing
from coterie.evaluation.blending.trading import Trade
from coterie.evaluation.blending.variants import words
from coterie.evaluation.blending.versus import Rivals, Verdict


@dataclass(frozen=True)
class Told:
    """What a reader sees first."""

    run: tuple[str, ...]
    """What was run, on what."""
    verdict: str
    """Whether anything beats the best single member."""
    findings: tuple[str, ...]
    warnings: tuple[str, ...]


def told(measured: Measured, rivals: Rivals | None, trades: Sequence[Trade]) -> Told:
    """`rivals` by the metric that verdicts are about; ``None`` where there is no metric."""
    return Told(
        tuple(_run(measured)),
        _verdict(measured, rivals),
        tuple(_of_best(measured, rivals, trades)),
        tuple(_warnings(measured)),
    )


# ---- what was run -------------------------------------------------------------------------------


def _run(measured: Measured) -> Iterator[str]:
    if not measured.places:
        yield "No question was given to any method yet."
        return
    singles = measured.of_kind("single")
    others = len(measured.main) - len(singles)
    asked = (
        f"{_many(len(measured.places), 'question')} of {_many(measured.conversations(None), 'conversation')} "
        f"in {_many(len(measured.datasets), 'data set')} ({', '.join(measured.datasets)})"
    )
    by = [_many(len(singles), "single member"), _many(others, "other way", "other ways") + " of answering"]
    yield f"{' and '.join(by)} were given {asked}."
    smaller = len(measured.variants) - len(measured.main)
    if smaller:
        yield f"{smaller} more {'was' if smaller == 1 else 'were'} run with smaller pools."
    yield f"Hardware: {measured.header.hardware or 'not recorded'}."


def _many(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


# ---- against the best single member ---------------------------------------------------------------


def challengers(measured: Measured) -> list[Variant]:
    """What is to beat the best single member."""
    return measured.of_kind("blend", "selection")


def _verdict(measured: Measured, rivals: Rivals | None) -> str:
    methods = challengers(measured)
    if not (rivals and methods and measured.of_kind("single")):
        return _nothing_to_say(methods, rivals)
    verdicts = [_of_parts(measured, rivals, method) for method in methods]
    said = [verdict.word for of in verdicts for verdict in of]
    if not said:
        return "No method and all single members answered a question together, so none can be held against the other."
    several = len(measured.datasets) > 1
    one = f"on at least one of {len(measured.datasets)} data sets" if several else f"on {measured.datasets[0]}"
    by = f"by {rivals.measure.heading}"
    beaten = sum(any(verdict.word == "yes" for verdict in of) for of in verdicts)
    worse = sum(any(verdict.word == "no" for verdict in of) for of in verdicts)
    if beaten:
        beat, of_all = "beats" if beaten == 1 else "beat", _many(len(methods), "method that blends or selects", MANY)
        but = f" {worse} {'is' if worse == 1 else 'are'} worse {one}." if worse else ""
        return f"{beaten} of {of_all} {beat} the best single member {one}, {by}.{but}"
    if "cannot tell" in said:
        return f"No method can be said to beat the best single member{'' if several else f' {one}'}, {by}."
    return f"Every method is worse than the best single member{' everywhere' if several else f' {one}'}, {by}."


MANY = "methods that blend or select"


def _nothing_to_say(methods: Sequence[Variant], rivals: Rivals | None) -> str:
    if rivals is None:
        return "No quality was measured, so nothing says whether blending beats the best single member."
    if not methods:
        return "No method that blends or selects was run, so there is nothing to hold against the best single member."
    return "No single member was run, so there is none to beat."


def _of_parts(measured: Measured, rivals: Rivals, method: Variant) -> list[Verdict]:
    found = (rivals.over_best_single(method, part) for part in measured.datasets)
    return [verdict for verdict in found if verdict is not None]


# ---- the best of them -------------------------------------------------------------------------------


def best_challenger(measured: Measured, measure: Measure) -> Variant | None:
    """The one with the best mean over all conversations, blends before selections."""
    found = [
        (method.kind == "blend", measure.better(mean.value), method)
        for method in challengers(measured)
        if (mean := measured.by_conversation(measured.quality(method, measure), None)) is not None
        and mean.value is not None
    ]
    return max(found, key=lambda of: of[:2])[2] if found else None


def _of_best(measured: Measured, rivals: Rivals | None, trades: Sequence[Trade]) -> Iterator[str]:
    """What the best challenger wins and takes, and what ranking less does to it; of the others tables tell."""
    best = best_challenger(measured, rivals.measure) if rivals else None
    if rivals is None or best is None:
        return
    if len(challengers(measured)) > 1:
        what = "blend" if best.kind == "blend" else "select"
        yield f"The best of those that {what}, picked on these very questions, is {measured.names[best]}."
    verdicts = _of_parts(measured, rivals, best)
    parts = [
        f"{lead} on {', '.join(map(_of_part, there))}"
        for word, lead in LEADS.items()
        if (there := [verdict for verdict in verdicts if verdict.word == word])
    ]
    if parts:
        yield f"It is {'; '.join(parts)}."
    yield from _speed(measured, best)
    full = replace(best, policy=FULL_RANKING)
    yield from _policies(measured, [trade for trade in trades if trade.full == full])


LEADS = {
    "yes": "better than the best single member",
    "no": "worse than the best single member",
    "cannot tell": "not to be told from the best single member",
}


def _of_part(verdict: Verdict) -> str:
    gain = cells.difference(verdict.gain, verdict.measure).text
    return f"{verdict.part} ({gain}{verdict.measure.unit} against {verdict.rival})"


def _speed(measured: Measured, best: Variant) -> Iterator[str]:
    time_s = measured.by_question(measured.times(best), None)
    if time_s is not None and time_s.value is not None:
        yield f"It takes {cells.mean(time_s).text} s a question."
    reference = measured.reference
    if reference is None or reference == best:
        return
    found = measured.quotient(measured.times(reference), measured.times(best), None)
    if found is not None and found.value is not None:
        yield f"It is {cells.times(found).text} as quick as {measured.names[reference]}."


def _policies(measured: Measured, trades: Sequence[Trade]) -> Iterator[str]:
    for trade in trades:
        if trade.part != measured.parts[-1] or trade.measure is None:
            continue
        if trade.delta_time_s is None or trade.delta_quality is None:
            continue
        lost = cells.difference(trade.delta_quality, trade.measure).text.removeprefix("+")
        saved = cells.gain_s(trade.delta_time_s).text.removeprefix("+")
        yield (
            f"The same method with {words(trade.variant.policy)} instead of full ranking saves {saved} s a question "
            f"and loses {lost}{trade.measure.unit} of {trade.measure.heading}: {LOST[trade.loses]}."
        )


LOST = {"yes": "quality is lost", "no": "quality is won", "cannot tell": "whether quality is lost cannot be told"}


# ---- what to be wary of -----------------------------------------------------------------------------


def _warnings(measured: Measured) -> Iterator[str]:
    yield from measured.recorded.notes
    yield from few(measured)
    for variant in measured.main:
        coverage = measured.coverage(variant)
        name = measured.names[variant]
        if coverage.failed:
            yield f"{name} failed on {coverage.failed} of {_many(coverage.questions, 'question')}"
        if coverage.missing:
            yield f"{name} was not given {coverage.missing} of {_many(coverage.questions, 'question')}"
        off, counted = differing(measured.rows(variant))
        if off:
            yield f"{name} made other calls than its formula says in {off} of {_many(counted, 'row')}"
