"""Ranking texts that are there already: how they are handed in, the method that ranks them, and what comes back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from coterie.answer import Answer
from coterie.errors import ConfigError
from coterie.methods.steps import check_rule, everyone, first
from coterie.protocols import Judge, Run
from coterie.run import LiveRun
from coterie.trace import CandidateOffered, Trace
from coterie.types import Candidate, Failure, Judgement, Ranking, Request, Result, Usage

Offered = Mapping[str, str] | Sequence[str | tuple[str, str] | Candidate]
"""Texts to rank: alone, as (author, text), as a mapping of authors to texts, or candidates of another answer."""


@dataclass(frozen=True)
class Ranked:
    """Given texts in the order that a judge and a rule put them in, with its whole history. Prints as the best text."""

    candidates: tuple[Candidate, ...]
    """In the order in which they were given."""
    ranking: Ranking
    """Over the candidates' ids, ties and notes included."""
    judgements: tuple[Judgement, ...]
    partial: bool
    """True when the deadline or the budget cut something off."""
    failures: tuple[Failure, ...]
    usage: Usage
    notes: tuple[str, ...]
    """What to know before trusting the order."""
    trace: Trace
    id: str
    """The run's id."""

    @classmethod
    def of(cls, answer: Answer, given: int) -> Ranked:
        """What `RankGiven` answered of its first `given` candidates."""
        assert answer.ranking is not None  # noqa: S101 - that method always ranks
        offered = tuple(event.candidate for event in islice(answer.trace.of(CandidateOffered), given))
        return cls(
            offered,
            answer.ranking,
            answer.judgements,
            answer.partial,
            answer.failures,
            answer.usage,
            answer.notes,
            answer.trace,
            answer.id,
        )

    @property
    def best(self) -> Candidate:
        return first(self.ranking, self.candidates)

    @property
    def texts(self) -> tuple[str, ...]:
        """Best first; what is tied stands as it was given."""
        by_id = {candidate.id: candidate.text for candidate in self.candidates}
        return tuple(by_id[id_] for id_ in self.ranking.order)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Of each candidate, as they were given; ``None`` for one that no judgement spoke of. More is better."""
        return tuple(self.ranking.scores[candidate.id] for candidate in self.candidates)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Of each candidate, as they were given: 1 is the best, ties share the lower ("1224")."""
        ranks = self.ranking.ranks
        return tuple(ranks[candidate.id] for candidate in self.candidates)

    def __str__(self) -> str:
        return self.best.text


@dataclass(frozen=True)
class RankGiven:
    """The method behind `Committee.rank`: offers what was given, and answers with what is ranked first."""

    judge: Judge
    rule: str = "max_logits"
    given: tuple[Candidate, ...] = field(default=(), repr=False)
    """Kept out of the method's description: the trace holds them as the candidates they are."""
    authors: tuple[str, ...] = ()
    """Those whom the judge asks."""

    def __post_init__(self) -> None:
        check_rule(self.rule, self.judge)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone(self.authors, self.judge)

    async def __call__(self, request: Request, run: Run) -> Result:
        candidates = [_offer(candidate, run) for candidate in self.given]
        judgements = await run.judge(self.judge, request, candidates)
        ranking = run.rank(self._fitting_rule(judgements, run), judgements, candidates)
        return Result(first(ranking, candidates), "ranked", ranking)

    def _fitting_rule(self, judgements: Sequence[Judgement], run: Run) -> str:
        """The rule; `mean`, and said so, where every judgement is about one candidate: others see no order in that."""
        spoken = [judgement for judgement in judgements if judgement.about]
        if not spoken or self.rule == "mean" or any(len(judgement.about) > 1 for judgement in spoken):
            return self.rule
        if len(self.given) > 1:
            run.note(f"every judgement is about one candidate alone, so mean scores decide, and not {self.rule!r}")
        return "mean"


def authors_asked(judge: Judge, given: Sequence[Candidate], members: Container[str]) -> tuple[str, ...]:
    """The authors among `members`, for a judge that asks members (it has `asks`) but names none; nobody for another."""
    if getattr(judge, "asks", None) != ():
        return ()
    return tuple(dict.fromkeys(c.author for c in given if c.author in members))


def _offer(candidate: Candidate, run: Run) -> Candidate:
    assert isinstance(run, LiveRun)  # noqa: S101 - parts have no business offering what nobody wrote; the committee has
    offered = replace(candidate, id=run.ledger.id("c"))
    run.ledger.write(CandidateOffered(run.ledger.now(), offered))
    return offered


def as_candidates(offered: Offered) -> tuple[Candidate, ...]:
    """Candidates out of whatever shape texts were handed in. Raises `ConfigError` for none, or for what is no text."""
    if isinstance(offered, str):
        raise ConfigError(f"candidates are several texts, not one ({offered!r:.80}): give a list")
    texts = list(offered.items()) if isinstance(offered, Mapping) else list(offered)
    if not texts:
        raise ConfigError("there is no candidate to rank: give at least one text")
    return tuple(_candidate(text, place) for place, text in enumerate(texts))


def _candidate(text: str | tuple[str, str] | Candidate, place: int) -> Candidate:
    match text:
        case Candidate():  # of another run: neither its call nor its parents are in this one
            return Candidate("", text.author, text.text, tool_calls=text.tool_calls)
        case str():
            return Candidate("", "", text)
        case (str(author), str(words)):
            return Candidate("", author, words)
    raise ConfigError(f"candidate {place} is neither a text nor an (author, text) pair, but {text!r:.80}")
