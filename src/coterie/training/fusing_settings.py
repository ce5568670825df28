"""What trains a fuser: the method's hyper-parameters, as a frozen dataclass whose fields are the command's options.

Defaults are LLM-Blender's for its GenFuser (2306.02561, section 4, and its released scripts) wherever it has the
setting and one value for it; it trained no adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coterie.errors import ConfigError
from coterie.fusers.generative.prompt import Budgets, WantedStyle
from coterie.training.settings import check_amounts, check_counts, check_shares

if TYPE_CHECKING:
    from coterie.training.fusing_lessons import Choosing

Precision = Literal["auto", "float32", "bfloat16"]

RATES = {True: 2e-4, False: 5e-5}
"""The learning rate where none is given: for an adapter, and for all weights."""


@dataclass(frozen=True)
class FuserTraining:
    """LLM-Blender's GenFuser: 2306.02561, section 4."""

    base: str = "google/flan-t5-large"
    """Model to start from: a folder, a hub name, a GGUF file or a pulled model's name."""
    base_name: str = ""
    """What the artifact calls the base; its own name, without folders, where left out."""
    lora: bool = False
    """Train a low-rank adapter beside frozen weights (2106.09685) instead of all weights."""
    rank: int = 8
    """Of the adapter."""
    alpha: int = 16
    """What the adapter says is scaled by alpha / rank."""
    lora_drop_out: float = 0.05
    """Of what the adapter reads."""
    targets: tuple[str, ...] = ()
    """Names of the layers the adapter stands beside; all linear layers but the last where left out."""
    style: WantedStyle = "auto"
    """The prompt; by the model's kind where left out."""
    top_k: int = 3
    """Candidates that are shown, the best so many; 0 for all."""
    noise: float = 0.1
    """How often one of them is replaced by one of the others, while learning."""
    candidate_tokens: int = 128
    """Of each candidate; longer ones are cut."""
    prompt_tokens: int = 1024
    """Of everything read; candidates are cut first."""
    target_tokens: int = 128
    """Of the reference, its end included."""
    epochs: int = 3
    """Passes over the data."""
    learning_rate: float | None = None
    """At its highest, after which it falls linearly; 2e-4 for an adapter and 5e-5 for all weights where left out."""
    warm_up: float = 0.05
    """Share of the updates in which the learning rate rises."""
    weight_decay: float = 0.0
    """Of all weights but biases and norms."""
    clip_norm: float = 1.0
    """Greatest norm of a gradient; 0 for no limit."""
    batch: int = 8
    """Examples that are read at once."""
    accumulate: int = 4
    """Batches in an update."""
    evaluations: int = 2
    """Measurements of the held-out loss in each epoch; each leaves a checkpoint, and the best one is kept."""
    patience: int | None = None
    """Stop after so many measurements without a new best."""
    precision: Precision = "auto"
    """`auto` is bfloat16 on a GPU and float32 on a CPU; what is trained stays in float32."""
    seed: int = 42
    """Of the choice of candidates, their order, the adapter's weights, the batches and drop-out."""

    def __post_init__(self) -> None:
        check_counts(self, "rank", "alpha", "candidate_tokens", "prompt_tokens", "target_tokens")
        check_counts(self, "epochs", "batch", "accumulate", "evaluations")
        check_shares(self, "noise", "lora_drop_out", "warm_up")
        check_amounts(self, "top_k", "weight_decay", "clip_norm")
        if not self.highest_rate > 0:
            raise ConfigError(f"learning_rate is above 0, not {self.learning_rate!r}")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience is at least 1, not {self.patience!r}")

    @property
    def highest_rate(self) -> float:
        """The learning rate in force."""
        return RATES[self.lora] if self.learning_rate is None else self.learning_rate

    @property
    def choosing(self) -> Choosing:
        """Which candidates are shown."""
        from coterie.training.fusing_lessons import Choosing

        return Choosing(self.top_k, self.noise)

    @property
    def budgets(self) -> Budgets:
        """How much is read."""
        return Budgets(self.prompt_tokens, self.candidate_tokens)

    @property
    def said_base(self) -> str:
        """What the artifact calls the base: a hub name as it is, of a place on this machine the last part alone."""
        if self.base_name:
            return self.base_name
        name = self.base.replace("\\", "/").rstrip("/")
        is_hubs = name.count("/") == 1 and not name.startswith(("/", ".", "~")) and not name.endswith(".gguf")
        is_here = Path(self.base).expanduser().exists()
        return name if is_hubs and not is_here else name.rpartition("/")[2]
