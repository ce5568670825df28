"""An answer as people read it: candidates, ballots, ranking, answer, timing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coterie.answer import Answer
from coterie.cli.screen import shortened, shown, table
from coterie.prospects import Prospects
from coterie.signals import Signals
from coterie.trace import Trace
from coterie.types import Candidate, Failure, Judgement, Ranking, Usage

if TYPE_CHECKING:
    from rich.console import RenderableType

HOW = {
    "fused": "written by {author} out of {parents}",
    "ranked": "{author}'s, the ranking's first",
    "voted": "{author}'s{vote}",
    "routed": "{author}'s, who was chosen",
    "only": "{author}'s, the only one there was",
}


def of_answer(answer: Answer) -> Iterator[RenderableType]:
    """Everything worth telling about an answer, the answer itself near the end, the id for feedback last."""
    from rich.text import Text

    authors = {candidate.id: candidate.author for candidate in answer.candidates}
    if answer.prospects:
        yield from section("prospects", prospects(answer.prospects))
    if answer.choice:
        yield from section("choice", Text(shown(answer.choice.reason)))
    yield from section("candidates", candidates(answer.candidates, answer.ranking))
    if answer.judgements:
        yield from section("ballots", ballots(answer.judgements, authors))
    if answer.ranking:
        yield from section("ranking", Text(ranking_line(answer.ranking, authors)))
    for signals in answer.trace.signals.values():
        yield from section("reviewers", Text(signals_line(signals)))
    if answer.failures:
        yield from section("failures", failures(answer.failures))
    if answer.notes:
        yield from section("notes", Text("\n".join(shown(note) for note in answer.notes)))
    how = HOW[answer.how].format(
        author=answer.candidate.author,
        parents=", ".join(authors.get(p, p) for p in answer.candidate.parents),
        vote=vote(answer.ranking) if answer.ranking else "",
    )
    partial = ", partial" if answer.partial else ""
    yield from section(f"answer ({how}{partial})", Text(shown(str(answer).strip()), style="bold"))
    yield Text(timing_line(answer.trace, answer.usage), style="dim")
    if not answer.replayed:
        yield Text(f"id {answer.id}", style="dim")


def section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    """A heading, what stands under it, indented, and an empty line."""
    from rich.padding import Padding
    from rich.text import Text

    yield Text(title, style="cyan")
    yield Padding(body, (0, 0, 1, 2))


def candidates(offered: Sequence[Candidate], ranking: Ranking | None) -> RenderableType:
    ranks = ranking.ranks if ranking else {}
    scores = ranking.scores if ranking else {}
    rows = [
        (str(ranks.get(c.id, "")), number(scores.get(c.id)), c.id, c.author, shortened(c.text, 200)) for c in offered
    ]
    return table(("rank", "score", "id", "author", "text"), rows)


def vote(ranking: Ranking) -> str:
    """How a vote went, behind the name of the first answer's author; scores are shares of the votes."""
    share, voters = ranking.scores[ranking.best], len(ranking.scores)
    if not share:
        return ""
    votes = round(share * voters)
    rivals = round(sum(score == share for score in ranking.scores.values()) / votes)
    if rivals == 1:
        return f", as {votes} of {voters} answers say"
    if votes == 1:
        return f", the pool's first: no two of {voters} answers agree"
    return f", by the pool's order: {rivals} answers have {votes} of {voters} votes each"


def prospects(given: Prospects) -> RenderableType:
    """What a router expected of each member."""
    rows = [
        (p.member, number(p.quality), number(p.uncertainty), "unknown" if p.cost_usd is None else f"{p.cost_usd:.6f}")
        for p in given.members
    ]
    return table(("member", f"quality ({given.scale})", "uncertainty", "USD"), rows)


def ballots(judgements: Sequence[Judgement], authors: dict[str, str]) -> RenderableType:
    return table(("reviewer", "ballot", "reason"), (_ballot(judgement, authors) for judgement in judgements))


def _ballot(judgement: Judgement, authors: dict[str, str]) -> tuple[str, str, str]:
    if not judgement.about:
        return judgement.judge, "abstains", shortened(judgement.abstained, 160)
    pairs = sorted(zip(judgement.scores, judgement.about, strict=True), key=lambda pair: -pair[0])
    said = "  ".join(f"{authors.get(id_, id_)} {score:.2f}" for score, id_ in pairs)
    each = zip(judgement.about, judgement.reasons, strict=False)
    reasons = "; ".join(f"{authors.get(id_, id_)}: {reason}" for id_, reason in each if reason)
    return judgement.judge, said, shortened(judgement.reason or reasons, 160)


def ranking_line(ranking: Ranking, authors: dict[str, str]) -> str:
    """The order in one line, ties joined by ``=``."""
    ranks = ranking.ranks
    line = authors.get(ranking.order[0], ranking.order[0])
    for before, id_ in zip(ranking.order, ranking.order[1:], strict=False):
        line += f" {'=' if ranks[before] == ranks[id_] else '>'} {authors.get(id_, id_)}"
    tied = " (ties stand in the pool's order)" if ranking.ties else ""
    return f"{ranking.rule}: {line}{tied}"


def signals_line(signals: Signals) -> str:
    """How far reviewers agree and what sways them, in one line; what cannot be known is left out."""
    told = (
        ("agreement (Kendall's W)", signals.concordance),
        ("margin of the first", signals.margin),
        ("for longer answers (tau)", signals.length_bias),
        ("for later places (tau)", signals.position_bias),
        ("for their own model", signals.kin_preference),
    )
    known = [f"{what} {value:+.2f}" for what, value in told if value is not None]
    return "  ".join(known) or "too few ballots to tell anything of them"


def failures(failed: Sequence[Failure]) -> RenderableType:
    rows = [(f.member, f.stage, f.kind.value, shortened(f.error, 160)) for f in failed]
    return table(("member", "stage", "kind", "error"), rows)


def timing_line(trace: Trace, usage: Usage) -> str:
    """Time, calls, tokens and cost in one line; what is unknown says so."""
    path = trace.critical_path.seconds
    ratio = f" ({trace.wall_s / path:.2f}x)" if path else ""
    tokens = f"{count(usage.input_tokens)} tokens in, {count(usage.output_tokens)} out"
    cost = "cost unknown" if usage.cost_usd is None else f"{usage.cost_usd:.6f} USD"
    if usage.cost_usd is None and trace.bill.known_usd:
        cost += f" ({trace.bill.known_usd:.6f} USD of it known)"
    return f"{trace.wall_s:.2f} s wall, {path:.2f} s critical path{ratio} · {usage.calls} calls · {tokens} · {cost}"


def number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def count(tokens: int | None) -> str:
    return "unknown" if tokens is None else str(tokens)
