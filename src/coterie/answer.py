"""The answer as its asker gets it: the text, how it came about, what it cost and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from coterie.prospects import Choice, Prospects
from coterie.trace import CandidateOffered, ChoiceMade, JudgementMade, Noted, ProspectsGiven, RankingMade, Trace
from coterie.types import Candidate, Failure, How, Json, Judgement, Ranking, Usage


@dataclass(frozen=True)
class Timing:
    """Seconds. Wall time over the critical path is what orchestration cost; 1 is the floor."""

    wall_s: float
    critical_path_s: float

    @property
    def ratio(self) -> float | None:
        return self.wall_s / self.critical_path_s if self.critical_path_s else None


@dataclass(frozen=True)
class Answer:
    """An answer with its whole history. Prints as its text, or as the words in which the one that was asked refused."""

    text: str
    method: str
    how: How
    """Fused out of several candidates, the ranking's first, the majority's, by who was chosen, or the only one."""
    candidate: Candidate
    partial: bool
    """True when fewer candidates than the quorum stood, or the deadline or the budget cut something off."""
    failures: tuple[Failure, ...]
    usage: Usage
    trace: Trace
    id: str
    """The run's id."""
    replayed: bool = False
    """True when no member was called for it."""

    def __str__(self) -> str:
        return self.text or self.refusal

    @property
    def refusal(self) -> str:
        """What a member that was asked alone said instead of an answer; empty where it answered."""
        return self.candidate.refusal

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """What the members answered, in the ranking's order where there is one."""
        offered = [event.candidate for event in self.trace.of(CandidateOffered) if not event.candidate.parents]
        places = {id_: n for n, id_ in enumerate(self.ranking.order)} if self.ranking else {}
        return tuple(sorted(offered, key=lambda c: places.get(c.id, len(places))))

    @cached_property
    def ranking(self) -> Ranking | None:
        """The last ranking of the run."""
        rankings = [event.ranking for event in self.trace.of(RankingMade)]
        return rankings[-1] if rankings else None

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        return tuple(event.judgement for event in self.trace.of(JudgementMade))

    @cached_property
    def prospects(self) -> Prospects | None:
        """What a router expected of the members, where one was asked."""
        return next((event.prospects for event in self.trace.of(ProspectsGiven)), None)

    @cached_property
    def choice(self) -> Choice | None:
        """Who was to be asked by that, and why."""
        return next((event.choice for event in self.trace.of(ChoiceMade)), None)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know before trusting the answer."""
        of_ranking = self.ranking.notes if self.ranking else ()
        return (*(event.text for event in self.trace.of(Noted)), *of_ranking)

    @cached_property
    def timing(self) -> Timing:
        return Timing(self.trace.wall_s, self.trace.critical_path.seconds)

    def to_json(self) -> dict[str, Json]:
        """The answer as plain data: the object that ``coterie ask --json`` prints."""
        ranking = self.ranking
        return {
            "id": self.id,
            "answer": self.text,
            "method": self.method,
            "how": self.how,
            "author": self.candidate.author,
            "parents": list(self.candidate.parents),
            "partial": self.partial,
            "candidates": [self._candidate(c, ranking) for c in self.candidates],
            "judgements": [asdict(judgement) for judgement in self.judgements],
            "ranking": asdict(ranking) if ranking else None,
            "prospects": asdict(self.prospects) if self.prospects else None,
            "choice": asdict(self.choice) if self.choice else None,
            "signals": [asdict(signals) for signals in self.trace.signals.values()],
            "failures": failures_json(self.failures),
            "usage": usage_json(Trace(()) if self.replayed else self.trace, self.usage),
            "timing": asdict(self.timing) | {"ratio": self.timing.ratio},
            "notes": list(self.notes),
        }

    @staticmethod
    def _candidate(candidate: Candidate, ranking: Ranking | None) -> dict[str, Json]:
        ranked = ranking is not None and candidate.id in ranking.scores
        return {
            "id": candidate.id,
            "author": candidate.author,
            "text": candidate.text,
            "rank": ranking.ranks[candidate.id] if ranking and ranked else None,
            "score": ranking.scores[candidate.id] if ranking and ranked else None,
        }


def failures_json(failures: tuple[Failure, ...]) -> list[Mapping[str, Json]]:
    return [{"member": f.member, "error": f.error, "kind": f.kind.value, "stage": f.stage} for f in failures]


def usage_json(trace: Trace, usage: Usage) -> dict[str, Json]:
    """Usage with what is known of the cost, by member too."""
    bill = trace.bill
    return asdict(usage) | {
        "known_cost_usd": bill.known_usd,
        "unpriced": list(bill.unpriced),
        "members": {name: asdict(spent) for name, spent in bill.members.items()},
    }
