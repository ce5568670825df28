"""The pair ranker as a judge: which of two answers is better, for the pairs a tournament asks about.

LLM-Blender's PairRanker (2306.02561, section 3): a cross-encoder reads the source and two candidates
side by side. `PairRanker` is the specification; the weights are opened once by the committee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from coterie.judges.pair_ranker.encoding import Pair
from coterie.judges.pair_ranker.weights import PairRankerWeights
from coterie.protocols import Run
from coterie.types import Candidate, Failure, Judgement, Message, Request


@dataclass(frozen=True)
class PairRanker(PairRankerWeights):
    """Every ordered pair of candidates, scored by a trained cross-encoder: 2306.02561, section 3.

    Needs: the extra `torch` and a checkpoint. Costs: N (N - 1) forwards of a 0.4B encoder for N
    candidates, no call to a member. Use it with the rule `max_logits`.
    """

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        engine = await run.open(self._weights())
        source = source_of(request.messages)
        ordered = [(a, b) for a in candidates for b in candidates if a.id != b.id]
        job = engine.ascore([Pair(source, a.text, b.text) for a, b in ordered])
        done = await run.work("pair_ranker", job, stage="rank", needs=[c.id for c in candidates])
        if isinstance(done, Failure):
            return [Judgement.abstain("pair_ranker", done.error)]
        work, scores = done
        return [
            Judgement("pair_ranker", (a.id, b.id), pair, calls=(work,))
            for (a, b), pair in zip(ordered, scores, strict=True)
        ]

    def _weights(self) -> PairRankerWeights:
        """The specification of what is expensive, which is all of this judge."""
        return PairRankerWeights(**{field.name: getattr(self, field.name) for field in fields(PairRankerWeights)})


def source_of(messages: Sequence[Message]) -> str:
    """What the candidates answer: a single question as it is; a conversation as its turns, system text first.

    Instruction and input stand together without a separator, as the published rankers were trained.
    """
    instructions = "".join(m.text for m in messages if m.role in ("system", "developer"))
    turns = [m for m in messages if m.role not in ("system", "developer")]
    if len(turns) == 1:
        return instructions + turns[0].text
    names = {"user": "USER", "assistant": "ASSISTANT"}
    return instructions + "\n".join(f"{names.get(m.role, m.role.upper())}: {m.text}" for m in turns)
