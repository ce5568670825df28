"""RouteLLM's causal LLM classifier: how well the weak member will answer, foretold (2406.18665, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.against import others, qualities
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.routers.rating import RatingModel
from coterie.routers.rating_prompt import RatingPrompt
from coterie.routers.reference import reference_of
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "language_model"
"""The folder inside an artifact that holds the model and its tokenizer."""

GOOD_ENOUGH = 4
"""A weak member's answer with this rating or a better one will do."""


@dataclass(frozen=True, eq=False)
class CausalLLMRouter:
    """Pr[rating >= 4] of each member but the reference, which is the strong one and taken to do well always.

    The strong member's win rate over a weak one is 1 less that, and 1 where the model writes no rating. Of two
    members, the strong one's quality is the win rate and the weak one's 1 less it, which is RouteLLM's router. Of more,
    the prompt says whose answer is meant, and a query costs one forward for each of them.
    """

    kind: ClassVar[str] = "causal_llm"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    reference: str
    """The strong member."""
    model: RatingModel
    prompt: RatingPrompt = field(default_factory=RatingPrompt)

    @classmethod
    def published(
        cls, name: str, strong: str, weak: str, prompt: RatingPrompt, max_tokens: int = 2048
    ) -> CausalLLMRouter:
        """RouteLLM's published layout in a folder or under a hub name, with the system prompt it was trained on.

        Raises `ConfigError` where it cannot be had or lacks the five tokens, `MissingExtra`.
        """
        if strong == weak:
            raise ConfigError(f"a router is between two members, and not {strong!r} and itself")
        return cls((strong, weak), strong, RatingModel.load(name, max_tokens), prompt)

    def forecast(self, queries: Queries) -> Forecast:
        chances = self._chances(queries)
        return Forecast(qualities(chances, self.members.index(self.reference)), basis=self._basis(chances))

    def settings(self) -> Mapping[str, Json]:
        return {
            "reference": self.reference,
            "system": self.prompt.system,
            "user": self.prompt.user,
            "max_tokens": self.model.max_tokens,
        }

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def save(self, folder: Path) -> None:
        """Afterwards the artifact's `folder` holds the weights."""
        self.model.save(folder / WEIGHTS)

    @classmethod
    def load(cls, kept: Kept) -> CausalLLMRouter:
        """The router that was saved. Raises `ConfigError`, `MissingExtra`."""
        reference = reference_of(kept)
        system, user, most = (kept.settings.get(name) for name in ("system", "user", "max_tokens"))
        if not isinstance(system, str) or not isinstance(user, str) or not isinstance(most, int):
            raise ConfigError(f"the prompt of the router in {str(kept.folder)!r} is not there: {system!r}, {user!r}")
        model = RatingModel.load(str(kept.folder / WEIGHTS), most)
        return cls(kept.members, reference, model, RatingPrompt(system, user))

    def _chances(self, queries: Queries) -> NDArray[np.float64]:
        """Pr[rating >= 4], (queries, members but the reference); 0 where no rating was written."""
        import numpy as np

        weak = others(self.members, self.reference)
        tokenizer = self.model.tokenizer
        prompts = [self.prompt.text(tokenizer, text, member) for member in weak for text in queries.texts]
        ratings = self.model.ratings(self.model.rows(prompts)).reshape(len(weak), len(queries), -1)
        good: NDArray[np.float64] = ratings[..., GOOD_ENOUGH - 1 :].sum(-1).T
        return np.nan_to_num(good)

    def _basis(self, chances: NDArray[np.float64]) -> tuple[str, ...]:
        weak = others(self.members, self.reference)
        return tuple(
            ", ".join(f"{member} does well with {p:.3f}" for member, p in zip(weak, row, strict=True))
            for row in chances.tolist()
        )
