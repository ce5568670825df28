"""What trains a ranker: the method's hyper-parameters, as frozen dataclasses whose fields are the command's options.

Defaults are LLM-Blender's (2306.02561, section 5 and its released training script) wherever it has the setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coterie.errors import ConfigError
from coterie.judges.keeping import Keep
from coterie.training.sampling import Draws, Sampling

LossName = Literal["instructgpt", "BCE", "MSE", "open_instruct_BCE"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Optimizer = Literal["adafactor", "adamw"]
Balance = Literal["origin", "label", "length"]
DevMetric = Literal["pairwise_accuracy", "best_of_n_accuracy", "chosen_quality"]
PointwiseKind = Literal["pointwise", "simcls", "summareranker"]
Kind = Literal["pairranker", "pointwise", "simcls", "summareranker"]

ONLY_ORDER = ("instructgpt", "BCE")
"""Losses that look at which of two is better and no further, so that ties teach them nothing."""


@dataclass(frozen=True)
class RankerTraining:
    """What every ranker's training has in common."""

    base: str = "microsoft/deberta-v3-large"
    """Folder or hub name of the encoder to start from, or of a ranker to go on with."""
    metrics: tuple[str, ...] = ("preference",)
    """Scores to learn, one task each; `comparisons` is a candidate's wins less losses in the example's comparisons."""
    source_tokens: int = 128
    """Of the question, at most."""
    candidate_tokens: int = 128
    """Of a candidate, at most, and half of what the question leaves over."""
    keep: Keep = "start"
    """Which end of a text that is too long is read; the end of an answer often holds its verdict."""
    epochs: int = 5
    """Passes over the data."""
    learning_rate: float = 1e-5
    """At its highest; it rises and falls linearly."""
    warm_up: float = 0.05
    """Share of the updates in which the learning rate rises."""
    optimizer: Optimizer = "adafactor"
    """Adafactor without relative steps, or AdamW."""
    weight_decay: float = 0.1
    """Of all weights but biases and norms."""
    clip_norm: float = 0.0
    """Greatest norm of a gradient; 0 for no limit."""
    batch: int = 4
    """Pairs (or lists) that are read at once, in the mean; batches of one update cost equally many tokens."""
    accumulate: int = 16
    """Batches in an update."""
    drop_out: float = 0.05
    """In the head."""
    precision: Precision = "auto"
    """`auto` is bfloat16 on a GPU that has it, float16 on another, float32 on a CPU; weights stay in float32."""
    seed: int = 42
    """Of the head's weights, the draws, their order and drop-out."""
    evaluations: int = 1
    """Measurements on held-out prompts in each epoch; each leaves a checkpoint, and the best one is kept."""
    metric: DevMetric = "pairwise_accuracy"
    """Which measurement says what is best."""
    patience: int | None = None
    """Stop after so many measurements without a new best."""
    dev_examples: int = 1000
    """At most so many held-out examples are measured while training; the card's numbers are of all."""
    balance: tuple[Balance, ...] = ()
    """Draw equally often from each origin, each label type, pairs whose better text is the longer, the shorter one."""
    leave_out: tuple[str, ...] = ()
    """Origins or label types that are measured and not learned."""
    label_smoothing: float = 0.0
    """Share of labels taken to be wrong, so that no pair is worth endless certainty; for losses of order."""

    def __post_init__(self) -> None:
        check_counts(
            self, "source_tokens", "candidate_tokens", "epochs", "batch", "accumulate", "evaluations", "dev_examples"
        )
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise ConfigError(f"metrics are names, each once, not {self.metrics!r}")
        if not 0 <= self.label_smoothing < 0.5:
            raise ConfigError(f"label_smoothing is at least 0 and below 0.5, not {self.label_smoothing!r}")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience is at least 1, not {self.patience!r}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is above 0, not {self.learning_rate!r}")
        check_shares(self, "warm_up", "drop_out")
        check_amounts(self, "weight_decay", "clip_norm")


@dataclass(frozen=True)
class PairRankerTraining(RankerTraining):
    """LLM-Blender's PairRanker: 2306.02561, section 3."""

    loss: LossName = "instructgpt"
    """What scores are to say: which text is better (instructgpt, BCE), or how good each is (MSE, open_instruct_BCE)."""
    sampling: Sampling = "all_pair"
    """Which pairs of an example are read in one epoch."""
    num_pos: int = 5
    """At most min(num_pos, num_neg) pairs of an example are read in one epoch."""
    num_neg: int = 5
    """See --num-pos."""
    sampling_ratio: float = 0.5
    """Of `uniform`: the share of candidates that is kept."""
    length_penalty: float = 0.0
    """Share of a length-only predictor's logit added in training alone, so that the rest is learned (1909.03683)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_draws(self.draws)
        _check_loss(self, self.loss)

    @property
    def kind(self) -> Kind:
        """The `ranker_type` of the checkpoint."""
        return "pairranker"

    @property
    def draws(self) -> Draws:
        """How pairs are drawn."""
        return Draws(self.sampling, self.num_pos, self.num_neg, self.sampling_ratio)


@dataclass(frozen=True)
class PointwiseRankerTraining(RankerTraining):
    """The paper's baselines that read one candidate at a time: 2306.02561, section 5.1."""

    kind: PointwiseKind = "pointwise"
    """pointwise learns scores on pairs, simcls cosines on lists, summareranker a mixture on the best and the worst."""
    loss: LossName | None = None
    """Of `pointwise`, instructgpt where left out; the other kinds have one of their own."""
    sampling: Sampling | None = None
    """Of `pointwise`, all_pair where left out; simcls reads every few of the order, summareranker the extremes."""
    num_pos: int | None = None
    """5 for pointwise, where min(num_pos, num_neg) is the number of pairs; 1 for summareranker, of the best."""
    num_neg: int | None = None
    """5 for pointwise; 1 for summareranker, of the worst."""
    sampling_ratio: float | None = None
    """Share of candidates that is kept: 0.5 for uniform pairs, 0.3 for simcls."""
    length_penalty: float = 0.0
    """As for a pair ranker; for `pointwise` alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        own = _OWN[self.kind]
        if self.kind != "pointwise" and (self.loss, self.sampling, self.length_penalty) != (None, None, 0.0):
            raise ConfigError(f"loss, sampling and length_penalty are settings of 'pointwise', not of {self.kind!r}")
        if self.kind == "simcls" and self.label_smoothing:
            raise ConfigError("label_smoothing has no meaning for 'simcls', which learns an order of more than two")
        for name, value in (("num_pos", own.num_pos), ("num_neg", own.num_neg), ("sampling_ratio", own.ratio)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.kind == "pointwise":
            object.__setattr__(self, "loss", self.loss or "instructgpt")
            object.__setattr__(self, "sampling", self.sampling or "all_pair")
        _check_draws(self.draws)
        _check_loss(self, self.loss)

    @property
    def draws(self) -> Draws:
        """How pairs and lists are drawn."""
        own = _OWN[self.kind]
        return Draws(
            self.sampling or own.sampling,
            own.num_pos if self.num_pos is None else self.num_pos,
            own.num_neg if self.num_neg is None else self.num_neg,
            own.ratio if self.sampling_ratio is None else self.sampling_ratio,
        )


_OWN = {"pointwise": Draws(), "simcls": Draws("uniform", ratio=0.3), "summareranker": Draws("top_bottom", 1, 1)}

AnyTraining = PairRankerTraining | PointwiseRankerTraining


def check_counts(settings: object, *names: str) -> None:
    """Raises `ConfigError` for a setting of these names that is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ConfigError(f"{name} is at least 1, not {getattr(settings, name)!r}")


def check_shares(settings: object, *names: str) -> None:
    """Raises `ConfigError` for a setting of these names that does not lie between 0 and 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ConfigError(f"{name} lies between 0 and 1, not at {getattr(settings, name)!r}")


def check_amounts(settings: object, *names: str) -> None:
    """Raises `ConfigError` for a setting of these names that is below 0."""
    for name in names:
        if not getattr(settings, name) >= 0:
            raise ConfigError(f"{name} is at least 0, not {getattr(settings, name)!r}")


def _check_draws(draws: Draws) -> None:
    if draws.num_pos < 1 or draws.num_neg < 1:
        raise ConfigError(f"num_pos and num_neg are at least 1, not {draws.num_pos!r} and {draws.num_neg!r}")
    if not 0 < draws.ratio <= 1:
        raise ConfigError(f"sampling_ratio is above 0 and at most 1, not {draws.ratio!r}")


def _check_loss(settings: AnyTraining, loss: LossName | None) -> None:
    check_amounts(settings, "length_penalty")
    if settings.length_penalty and loss != "instructgpt":
        raise ConfigError(f"a length_penalty needs the loss 'instructgpt', which looks at differences, not {loss!r}")
    if settings.label_smoothing and loss not in (*ONLY_ORDER, None):
        raise ConfigError(f"label_smoothing needs a loss of order ({', '.join(ONLY_ORDER)}), not {loss!r}")
