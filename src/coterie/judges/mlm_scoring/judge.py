"""MLM-Scoring as a judge: a text is as good as it is likely, whatever was asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from coterie.judges.mlm_scoring.weights import MaskedWeights
from coterie.judges.scored import scored
from coterie.protocols import Run
from coterie.types import Candidate, Judgement, Request

if TYPE_CHECKING:
    from coterie.judges.mlm_scoring.reader import MaskedReader


@dataclass(frozen=True)
class MLMScoring(MaskedWeights):
    """sum_t log P(w_t | W without t) of each candidate, by a masked language model: 1910.14659, equation 2.

    Needs: the extra `torch` and a masked language model, no training. Costs: one forward for every token of every
    candidate. It never reads the question, and longer texts score lower: a judge only as a baseline, as in
    LLM-Blender (2306.02561, section 5), which does not say what model it took. The default here is, from memory,
    that of the method's own tool (awslabs/mlm-scoring). Use the rule `mean`.
    """

    per_token: bool = False
    """The mean over a text's tokens instead of their sum, so that length does not count."""

    @property
    def opens(self) -> tuple[MaskedWeights, ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (MaskedWeights(**{field.name: getattr(self, field.name) for field in fields(MaskedWeights)}),)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:  # noqa: ARG002
        (weights,) = self.opens
        job = self._scores(await run.open(weights), [candidate.text for candidate in candidates])
        return await scored("mlm_scoring", job, candidates, run)

    async def _scores(self, reader: MaskedReader, texts: Sequence[str]) -> list[float | None]:
        return [self._score(of_tokens) for of_tokens in await reader.log_probabilities(texts)]

    def _score(self, of_tokens: Sequence[float]) -> float | None:
        """``None`` of a text without tokens: the sum of nothing would be the best score of all."""
        if not of_tokens:
            return None
        return math.fsum(of_tokens) / (len(of_tokens) if self.per_token else 1)
