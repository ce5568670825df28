"""transformers' Trainer for fusers: it accumulates, mixes precisions, schedules, saves, resumes and stops early.

What is learned from stands in rows that were tokenised beforehand; what is measured is the loss on rows set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments

from coterie.fusers.generative.loading import quiet
from coterie.training.callbacks import Milestones, Teller
from coterie.training.fusing_measuring import Gauge
from coterie.training.fusing_rows import Row
from coterie.training.fusing_settings import FuserTraining
from coterie.training.watching import Watch

LOGGED = 200
"""About so many times in a training the loss is fetched from the device."""


class FuserTrainer(Trainer):
    """A Trainer for fusing models, whose measurement is the gauge's."""

    def __init__(
        self, settings: FuserTraining, model: Any, rows: Sequence[Row], gauge: Gauge, folder: Path, watch: Watch
    ) -> None:
        updates = updates_of(settings, len(rows))
        self._teller = Teller(watch)
        callbacks = [Milestones(cast(Any, settings), updates), self._teller]
        if settings.patience is not None:
            callbacks.append(EarlyStoppingCallback(settings.patience))
        made: Any = super().__init__
        made(
            model=model,
            args=_arguments(settings, folder, updates, model.device.type, bfloat16=gauge.bfloat16),
            data_collator=gauge.batches,
            train_dataset=rows,
            eval_dataset=gauge.rows,  # never read: `evaluate` is ours
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self._gauge = gauge

    def go(self, checkpoint: str | None) -> bool:
        """Train from the beginning or from a checkpoint, to the end; false where the watch stopped it before.

        At the end the model has its best measured weights.
        """
        with quiet():
            self.train(resume_from_checkpoint=checkpoint)
        return not self._teller.stopped

    def evaluate(
        self,
        eval_dataset: Any = None,  # noqa: ARG002
        ignore_keys: Any = None,  # noqa: ARG002
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The gauge's loss."""
        metrics = {f"{metric_key_prefix}_loss": self._gauge.loss(self.model)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def updates_of(settings: FuserTraining, rows: int) -> int:
    """How many updates there are in all, as the Trainer counts them."""
    batches = -(-rows // settings.batch)
    return settings.epochs * -(-batches // settings.accumulate)


def _arguments(
    settings: FuserTraining, folder: Path, updates: int, device: str, *, bfloat16: bool
) -> TrainingArguments:
    on_gpu = device == "cuda"
    made = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        learning_rate=settings.highest_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(updates * settings.warm_up),
        optim="adamw_torch_fused" if on_gpu else "adamw_torch",
        weight_decay=settings.weight_decay,
        adam_epsilon=1e-6,
        max_grad_norm=settings.clip_norm,
        bf16=bfloat16,
        seed=settings.seed,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=updates,
        save_steps=updates,
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, updates // LOGGED),
        logging_nan_inf_filter=False,  # it would wait for the device after every batch
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=on_gpu,
        use_cpu=device == "cpu",
        report_to="none",
        disable_tqdm=True,
    )
    made._n_gpu = min(made.n_gpu, 1)
    return made
