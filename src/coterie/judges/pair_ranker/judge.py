"""The pair ranker as a judge: which of two answers is better, for the pairs a tournament asks about.

LLM-Blender's PairRanker (2306.02561, section 3): a cross-encoder reads the source and two candidates
side by side. `PairRanker` is the specification; the weights are opened once by the committee.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

from coterie.examples.conversation import source_of
from coterie.judges.engine import Engine
from coterie.judges.pair_ranker.comparing import Kind, Match, Plan, aplay, begin
from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.weights import PairRankerWeights
from coterie.protocols import Run
from coterie.types import Candidate, Failure, Judgement, Request

__all__ = ["PairRanker", "source_of"]


@dataclass(frozen=True)
class PairRanker(PairRankerWeights):
    """Pairs of candidates, each read in both orders by a trained cross-encoder: 2306.02561, section 3.

    Needs: the extra `torch` and a checkpoint. Costs no call to a member; for N candidates the full
    tournament makes N (N - 1) forwards of a 0.4B encoder, in one round, for the rule `max_logits`. A
    bubble makes 2 (N - 1), one after another, and decides the best alone; `top_k` makes as few for the
    best, at most 2 ceil(log2 N) more for each further place, in few rounds. Both need the rule
    `unbeaten`: any other would take comparisons that were never made for draws.
    """

    tournament: Kind = "full"
    """Which pairs are compared: all of them, or those that a bubble or a knock-out for the first `k` asks about."""
    k: int = 1
    """Places that `top_k` decides; the others are known only as far as they lost."""

    def __post_init__(self) -> None:
        self._plan()

    @property
    def rules(self) -> tuple[str, ...] | None:
        """The ranking rules that can read its judgements; ``None`` for any."""
        return None if self.tournament == "full" else ("unbeaten",)

    @property
    def opens(self) -> tuple[PairRankerWeights, ...]:
        """What is expensive in it, which a committee may open ahead."""
        return (self._weights(),)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        if len(candidates) == 1:
            return [Judgement.abstain("pair_ranker", "one candidate has no other to be compared with")]
        engine = await run.open(self._weights())
        job = self._played(engine, source_of(request.messages), candidates, run.rng("pair_ranker"))
        done = await run.work("pair_ranker", job, stage="rank", needs=[c.id for c in candidates])
        if isinstance(done, Failure):
            return [Judgement.abstain("pair_ranker", done.error)]
        work, played = done
        self._note(played, len(candidates), run)
        return [
            Judgement("pair_ranker", (candidates[left].id, candidates[right].id), scores, calls=(work,))
            for (left, right), scores in played.readings.items()
        ]

    async def _played(
        self, engine: Engine[Pair], source: str, candidates: Sequence[Candidate], rng: random.Random
    ) -> Match:
        texts = [candidate.text for candidate in candidates]
        played = await asyncio.to_thread(begin, engine, source, texts, self._plan(), rng)
        await aplay(engine, played)
        return played

    def _note(self, played: Match, n: int, run: Run) -> None:
        """Say how much the order rests on, where not everything was compared."""
        if played.outcome is None or self.tournament == "full":
            return
        decided = "the best" if self.tournament == "bubble" or self.k == 1 else f"the order of the best {self.k}"
        compared = f"{played.outcome.comparisons} of {n * (n - 1) // 2} pairs"
        run.note(f"the pair ranker compared {compared}, which decides {decided} and nothing else")

    def _plan(self) -> Plan:
        return Plan(self.tournament, self.k)

    def _weights(self) -> PairRankerWeights:
        """The specification of what is expensive."""
        return PairRankerWeights(**{field.name: getattr(self, field.name) for field in fields(PairRankerWeights)})
