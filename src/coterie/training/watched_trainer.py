"""transformers' Trainer as rankers and fusers are trained by it: measured by our own rule, watched, and stopped.

Accumulation, mixed precision, schedules, optimizers, checkpoints, resuming and early stopping are the Trainer's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from coterie.training.callbacks import Milestones, Teller
from coterie.training.watching import Watch

LOGGED = 200
"""About so many times in a training the loss is fetched from the device."""


class Schedule(Protocol):
    """The settings that a training of any kind has."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def accumulate(self) -> int: ...
    @property
    def warm_up(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip_norm(self) -> float: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def patience(self) -> int | None: ...
    @property
    def seed(self) -> int: ...


class WatchedTrainer(Trainer):
    """A Trainer that measures what `measurements` says, `evaluations` times an epoch, and keeps the best."""

    def __init__(self, settings: Schedule, updates: int, watch: Watch, **parts: Any) -> None:
        """`updates` in all; `parts` go to the Trainer."""
        self._teller = Teller(watch)
        callbacks: list[TrainerCallback] = [Milestones(settings.epochs * settings.evaluations, updates), self._teller]
        if settings.patience is not None:
            callbacks.append(EarlyStoppingCallback(settings.patience))
        made: Any = super().__init__
        made(callbacks=callbacks, **parts)
        self.remove_callback(PrinterCallback)

    def go(self, checkpoint: str | None = None) -> bool:
        """Train, from a checkpoint on where one is given; true at the end, false where the watch stopped it before.

        At the end the model has its best measured weights.
        """
        self.train(resume_from_checkpoint=checkpoint)
        return not self._teller.stopped

    @abstractmethod
    def measurements(self) -> Mapping[str, float]:
        """What held-out prompts say of the model as it is."""

    def evaluate(
        self,
        eval_dataset: Any = None,  # noqa: ARG002
        ignore_keys: Any = None,  # noqa: ARG002
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The measurements, as the Trainer takes them."""
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.measurements().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def arguments(settings: Schedule, folder: Path, updates: int, *, on_gpu: bool, **own: Any) -> TrainingArguments:
    """What both kinds of trainings tell the Trainer; `own` is what only one of them does."""
    told: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.batch,
        "gradient_accumulation_steps": settings.accumulate,
        "num_train_epochs": settings.epochs,
        "lr_scheduler_type": "linear",
        "warmup_steps": round(updates * settings.warm_up),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.clip_norm,
        "seed": settings.seed,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": updates,
        "save_steps": updates,
        "save_total_limit": 2,  # the best and the last
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": max(1, updates // LOGGED),
        "logging_nan_inf_filter": False,  # it would wait for the device after every batch
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "dataloader_pin_memory": on_gpu,
    }
    made = TrainingArguments(**told, **own)
    made._n_gpu = min(made.n_gpu, 1)  # further GPUs would each get a slice of a batch that was cut to fit one
    return made
