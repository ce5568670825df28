"""Rankers that score one candidate at a time, as judges: a pointwise ranker or reward model, SimCLS, SummaReranker.

What LLM-Blender's PairRanker was measured against (2306.02561, section 5). They cost N forwards for N candidates
where a pair ranker costs N (N - 1), and never see what a candidate is compared with. Use the rule `mean`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.judges.pair_ranker.judge import source_of
from coterie.judges.placement import Placement
from coterie.judges.pointwise.encoding import Alone, AloneEncoder, Answer, AnswerEncoder
from coterie.judges.pointwise.weights import Item, RankerKind, RankerWeights
from coterie.judges.scored import scored
from coterie.protocols import Run
from coterie.types import Candidate, Judgement, Request

if TYPE_CHECKING:
    from coterie.judges.engine import Engine
    from coterie.judges.pair_ranker.checkpoint import Checkpoint


@dataclass(frozen=True)
class RankerJudge(RankerWeights[Item]):
    """A trained ranker's score of each candidate, one judgement each."""

    @property
    def opens(self) -> tuple[RankerWeights[Item], ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (self,)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        engine = await run.open(self)
        job = self.scores(engine, source_of(request.messages), [candidate.text for candidate in candidates])
        return await scored(self.kind, job, candidates, run)

    @abstractmethod
    async def scores(self, engine: Engine[Item], source: str, texts: Sequence[str]) -> list[float]:
        """Of each text as an answer to the source; higher is better."""


@dataclass(frozen=True)
class Pointwise(RankerJudge[Answer]):
    """One score a candidate, by a trained ranker or a published reward model.

    Needs: the extra `torch` and a checkpoint, either of this library's training or a sequence classifier with one
    logit. Costs: N forwards. Prefer the pair ranker where differences are subtle.
    """

    model: str = "OpenAssistant/reward-model-deberta-v3-large-v2"
    """A folder or a hub name."""
    template: str = ""
    """For a reward model that is a decoder: what it reads, such as `Human: {source}\\n\\nAssistant: {candidate}`."""

    kind: ClassVar[RankerKind] = "pointwise"

    async def scores(self, engine: Engine[Answer], source: str, texts: Sequence[str]) -> list[float]:
        return [_mean(tasks) for tasks in await engine.ascore([Answer(source, text) for text in texts])]

    def _encoder(self, found: Checkpoint) -> AnswerEncoder:
        return AnswerEncoder(found, "marks")

    def _opened(self, found: Checkpoint, place: Placement) -> Engine[Answer]:
        if "ranker_type" not in found.settings:
            return self._reward_model(found, place)
        if self.template:
            raise ConfigError(f"{self.model!r} is no published reward model and reads no template: leave it out")
        return super()._opened(found, place)

    def _reward_model(self, found: Checkpoint, place: Placement) -> Engine[Answer]:
        from coterie.judges import pretrained
        from coterie.judges.pointwise import reward

        network = reward.RewardNetwork(pretrained.model("SequenceClassification", str(found.folder), place))
        words = pretrained.Words(str(found.folder), keep=found.keep)
        most = pretrained.most_tokens(network.model, place)
        lengths = reward.Lengths(found.source_tokens, found.candidate_tokens).within(
            None if most is None else most - len(words.frame(2))
        )
        return self._engine(reward.encoder(network, words, lengths, self.template).row, network, place)


@dataclass(frozen=True)
class SimCLS(RankerJudge[Alone]):
    """How near a candidate's vector is to the source's, by their cosine: 2106.01890.

    Needs: the extra `torch` and a checkpoint of this library's training. Costs: N + 1 forwards of short rows,
    the least of all trained rankers, and source and candidate never see each other.
    """

    kind: ClassVar[RankerKind] = "simcls"

    async def scores(self, engine: Engine[Alone], source: str, texts: Sequence[str]) -> list[float]:
        of_source, *of_texts = await engine.ascore([Alone(source, is_source=True), *map(Alone, texts)])
        return [cosine(of_source, vector) for vector in of_texts]

    def _encoder(self, found: Checkpoint) -> AloneEncoder:
        return AloneEncoder(found)


@dataclass(frozen=True)
class SummaReranker(RankerJudge[Answer]):
    """The chance that a candidate is the best one, by a mixture of experts that several metrics share: 2203.06569.

    Needs: the extra `torch` and a checkpoint of this library's training. Costs: N forwards.
    """

    kind: ClassVar[RankerKind] = "summareranker"

    async def scores(self, engine: Engine[Answer], source: str, texts: Sequence[str]) -> list[float]:
        logits = await engine.ascore([Answer(source, text) for text in texts])
        return [_chance(_mean(tasks)) for tasks in logits]

    def _encoder(self, found: Checkpoint) -> AnswerEncoder:
        return AnswerEncoder(found, "first")


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Of two unit vectors, from -1 to 1 whatever rounding did to their lengths."""
    return max(-1.0, min(1.0, math.fsum(map(mul, left, right))))


def _mean(tasks: Sequence[float]) -> float:
    return sum(tasks) / len(tasks)


def _chance(logit: float) -> float:
    """The logistic function, which never overflows as a hyperbolic tangent."""
    return (1 + math.tanh(logit / 2)) / 2
