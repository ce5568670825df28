"""Training RouteLLM's causal LLM classifier (2406.18665, section 4.2; settings are the paper's where it names them)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from coterie.errors import ConfigError
from coterie.outcomes.outcome import Lessons, Outcomes
from coterie.routers.against import others
from coterie.routers.causal_llm import GOOD_ENOUGH, CausalLLMRouter
from coterie.routers.forecast import LearnsFrom, Reads, Vectors, Watch
from coterie.routers.rating import RATINGS, RatingModel, labels_of, pad_of, rows_of
from coterie.routers.rating_prompt import MEMBERS_USER, SYSTEM, USER, RatingPrompt
from coterie.training.routing.text_lessons import Taught, check_scores, found, outcomes_of, sides, strongest
from coterie.training.routing.text_settings import TextTraining

if TYPE_CHECKING:
    from coterie.training.routing.text_trainer import Teaching


@dataclass(frozen=True)
class CausalLLMRecipe(TextTraining):
    """What rating from 1 to 5 will the weak member's answer get? Scores in [0, 1] become ratings.

    A score s is the rating 1 + 4 s, rounded half up: 0 and 1 are the ratings 1 and 5, and from 0.625 on an answer is
    good enough (4). The loss is that of the rating's token after the prompt, over the whole vocabulary, so that the
    model learns to write a rating first. The paper's base is Llama-3-8B.
    """

    kind: ClassVar[str] = "causal_llm"
    reads: ClassVar[Reads] = "texts"
    learns_from: ClassVar[LearnsFrom] = frozenset({"outcomes"})

    base: str = "meta-llama/Meta-Llama-3-8B"
    """Folder or hub name of a causal language model."""
    system: str = SYSTEM
    """What stands before the question; weights published by others need the text they were trained on."""
    user: str | None = None
    """With ``{question}``, and ``{member}`` where several are to be told apart; left out, RouteLLM's."""
    reference: str | None = None
    """The strong member; left out, the one with the highest mean score, of equals the dearest."""
    max_tokens: int = 2048
    epochs: int = 5
    max_updates: int | None = 2000
    learning_rate: float = 1e-6
    batch: int = 8
    evaluate_every: int | None = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep != "start":
            raise ConfigError("prompts of 'causal_llm' are cut before, as RouteLLM's are: leave out keep")
        if self.drop_out is not None:
            raise ConfigError("'causal_llm' has no head to drop out of: leave out drop_out")
        if self.user is not None:
            RatingPrompt(self.system, self.user)

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> CausalLLMRouter:  # noqa: ARG002
        """The model with the least loss on held-back prompts. Raises `ConfigError`, `MissingExtra`."""
        outcomes = outcomes_of(lessons, self.kind)
        check_scores(outcomes)
        strong = strongest(outcomes, self.reference)
        weak = others(outcomes.members, strong)
        check_ratings(outcomes, weak)
        prompt = RatingPrompt(self.system, self.user or (USER if len(weak) == 1 else MEMBERS_USER))
        if len(weak) > 1 and "{member}" not in prompt.user:
            raise ConfigError(f"the user prompt must say '{{member}}' to tell {len(weak)} members apart")
        from coterie.training.routing.text_trainer import taught

        network, tokenizer = self._untrained()
        teaching = self._teaching(network, tokenizer, outcomes, (prompt, weak))
        taught(teaching, self, self.kind, watch)
        return CausalLLMRouter(outcomes.members, strong, RatingModel(network, tokenizer, self.max_tokens), prompt)

    def _untrained(self) -> tuple[Any, Any]:
        """The base with the five tokens, their rows drawn; the same for the same seed."""
        from transformers import set_seed

        from coterie.quiet import quiet
        from coterie.routers.classifier import load_model, load_tokenizer

        set_seed(self.seed)
        base = found(self.base)
        model, report = load_model(base, "CausalLM")
        if report["missing_keys"]:
            raise ConfigError(f"the weights in {base!r} lack {sorted(report['missing_keys'])[:5]!r}")
        tokenizer = load_tokenizer(base)
        tokenizer.add_tokens([rating for rating in RATINGS if rating not in tokenizer.get_vocab()])
        with quiet():
            model.resize_token_embeddings(max(len(tokenizer), model.get_input_embeddings().num_embeddings))
        return model, tokenizer

    def _teaching(
        self, model: Any, tokenizer: Any, outcomes: Outcomes, about: tuple[RatingPrompt, Sequence[str]]
    ) -> Teaching:
        from coterie.training.routing.rating_network import Ratings, rating_loss
        from coterie.training.routing.text_rows import Collator
        from coterie.training.routing.text_trainer import Teaching

        prompt, weak = about
        known: list[Taught] = []
        for member in weak:
            rows = rows_of(
                tokenizer, [prompt.text(tokenizer, text, member) for text in outcomes.prompts], self.max_tokens
            )
            scores = outcomes.scores[:, outcomes.members.index(member)].tolist()
            known += [Taught(*one) for one in zip(outcomes.prompts, rows, map(target, scores), strict=True)]
        learned, held = sides(known, self)
        network = Ratings(model, labels_of(tokenizer))
        return Teaching(network, learned, held, rating_loss, Collator(pad_of(tokenizer), left=True))


def rating(score: float) -> int:
    """The rating, 1 to 5, of a score in [0, 1]: rounded, a half up."""
    return math.floor(1 + 4 * score + 0.5)


def target(score: float) -> tuple[float, ...]:
    """All on the rating of that score; NaN where it is unknown."""
    if math.isnan(score):
        return (math.nan,) * len(RATINGS)
    return tuple(float(n == rating(score)) for n in range(1, len(RATINGS) + 1))


def check_ratings(outcomes: Outcomes, weak: Sequence[str]) -> None:
    """Raises `ConfigError` where every known answer of the weak members is good enough, or none is."""
    columns = [outcomes.members.index(member) for member in weak]
    known = [score for score in outcomes.scores[:, columns].ravel().tolist() if not math.isnan(score)]
    good = [rating(score) >= GOOD_ENOUGH for score in known]
    if all(good) or not any(good):
        raise ConfigError(
            f"there is nothing to learn from: {'all' if good and all(good) else 'none'} of the {len(good)} known "
            f"answers of {list(weak)!r} would be rated {GOOD_ENOUGH} or better"
        )
