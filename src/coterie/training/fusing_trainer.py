"""transformers' Trainer for fusers: it learns from rows tokenised beforehand, and its measurement is a gauge's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from coterie.fusers.generative.loading import quiet
from coterie.training.fusing_measuring import Gauge
from coterie.training.fusing_rows import Row
from coterie.training.fusing_settings import FuserTraining
from coterie.training.watched_trainer import WatchedTrainer, arguments
from coterie.training.watching import Watch


class FuserTrainer(WatchedTrainer):
    """A Trainer for fusing models, whose measurement is the gauge's."""

    def __init__(
        self, settings: FuserTraining, model: Any, rows: Sequence[Row], gauge: Gauge, folder: Path, watch: Watch
    ) -> None:
        updates = updates_of(settings, len(rows))
        super().__init__(
            settings,
            updates,
            watch,
            model=model,
            args=_arguments(settings, folder, updates, model.device.type, bfloat16=gauge.bfloat16),
            data_collator=gauge.batches,
            train_dataset=rows,
            eval_dataset=gauge.rows,  # never read: `evaluate` is ours
        )
        self._gauge = gauge

    def go(self, checkpoint: str | None = None) -> bool:
        with quiet():
            return super().go(checkpoint)

    def measurements(self) -> Mapping[str, float]:
        """The gauge's loss."""
        return {"loss": self._gauge.loss(self.model)}


def updates_of(settings: FuserTraining, rows: int) -> int:
    """How many updates there are in all, as the Trainer counts them."""
    batches = -(-rows // settings.batch)
    return settings.epochs * -(-batches // settings.accumulate)


def _arguments(
    settings: FuserTraining, folder: Path, updates: int, device: str, *, bfloat16: bool
) -> TrainingArguments:
    on_gpu = device == "cuda"
    return arguments(
        settings,
        folder,
        updates,
        on_gpu=on_gpu,
        learning_rate=settings.highest_rate,
        optim="adamw_torch_fused" if on_gpu else "adamw_torch",
        adam_epsilon=1e-6,
        use_cpu=device == "cpu",
        bf16=bfloat16,
        metric_for_best_model="loss",
        greater_is_better=False,
        train_sampling_strategy="group_by_length",
        label_names=["labels"],
    )
