"""The loop that teaches transformers to route: texts with soft targets, and the least loss on held-back prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from coterie.quiet import quiet
from coterie.routers import forecast
from coterie.routers.classifier import BUDGET_TOKENS
from coterie.routers.reading import batches
from coterie.training.routing.text_rows import Collator, Loss, Order, Tensors, TextRow
from coterie.training.routing.text_settings import TextTraining
from coterie.training.trainer import save_weights
from coterie.training.watched_trainer import WatchedTrainer, arguments


@dataclass(frozen=True)
class Teaching:
    """A network, and what it is taught. Its forward takes ids and mask, and says [rows, outputs]."""

    network: nn.Module
    learned: Sequence[TextRow]
    held: Sequence[TextRow]
    loss: Loss
    collator: Collator


def taught(teaching: Teaching, settings: TextTraining, kind: str, watch: forecast.Watch) -> dict[str, float]:
    """Afterwards the network has, of all weights that were measured, those with the least loss on what is held back.

    Says that loss, and how many updates there were. `watch` is told each update. The same rows, settings and device
    give the same weights; randomness is seeded before, where the network is made.
    """
    with TemporaryDirectory(prefix="coterie-") as folder, quiet():
        trainer = TextTrainer(teaching, settings, Path(folder), Followed(kind, watch))
        trainer.go()
        best, updates = trainer.state.best_metric, trainer.state.global_step
    teaching.network.eval()
    return {"held_back_loss": float("nan") if best is None else float(best), "updates": float(updates)}


class TextTrainer(WatchedTrainer):
    """A Trainer whose measurement is the loss on held-back rows."""

    def __init__(self, teaching: Teaching, settings: TextTraining, folder: Path, watch: Followed) -> None:
        self.teaching = teaching
        self._order = Order(teaching.learned, settings.batch, settings.accumulate, settings.seed)
        total = min(
            settings.max_updates or self._order.updates * settings.epochs, self._order.updates * settings.epochs
        )
        every = settings.evaluate_every or self._order.updates
        course = _Course.of(settings, max(1, round(total / every)))
        super().__init__(
            course,
            total,
            watch,
            model=teaching.network,
            args=_arguments(settings, course, folder, total),
            data_collator=teaching.collator,
            train_dataset=_Rows(self._order, len(teaching.learned)),
            eval_dataset=_Rows(self._order, len(teaching.held)),  # never read: `evaluate` is ours
        )
        self.model_accepts_loss_kwargs = False
        self.loss_is_scaled_for_ga = False

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches as `Order` cuts them."""
        loader: DataLoader[Any] = DataLoader(
            _Rows(self._order, len(self.teaching.learned)),
            batch_sampler=self._order,
            collate_fn=self.teaching.collator,
            pin_memory=self.args.device.type == "cuda",
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Tensors,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """The weighted sum of the rows' losses."""
        said = model(inputs["input_ids"], inputs["attention_mask"])
        loss = (self.teaching.loss(said, inputs["target"]) * inputs["weight"]).sum()
        return (loss, said) if return_outputs else loss

    def measurements(self) -> Mapping[str, float]:
        """The mean loss of what is held back."""
        network = self.teaching.network
        network.eval()
        lengths = [len(row.ids) for row in self.teaching.held]
        cut = batches(lengths, BUDGET_TOKENS.get(self.args.device.type, BUDGET_TOKENS["cpu"]))
        total = sum(self._total([self.teaching.held[n] for n in batch]) for batch in cut)
        return {"loss": total / len(lengths)}

    @torch.inference_mode()
    def _total(self, rows: Sequence[TextRow]) -> float:
        tensors = {name: tensor.to(self.args.device) for name, tensor in self.teaching.collator(rows).items()}
        with self.compute_loss_context_manager():
            said = self.teaching.network(tensors["input_ids"], tensors["attention_mask"])
        return float(self.teaching.loss(said, tensors["target"]).sum())

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        save_weights(self.teaching.network, Path(output_dir or str(self.args.output_dir)), state_dict)


class Logits(nn.Module):
    """A classifier of transformers' as a network of this loop: ids and mask in, logits out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class Followed:
    """What training tells, handed on to who watches a router's fit."""

    def __init__(self, kind: str, watch: forecast.Watch) -> None:
        self._what = f"updates of {kind}"
        self._said = ""
        self._steps = 0
        self._watch = watch

    def say(self, line: str) -> None:
        pass

    def began(self, done: int, steps: int) -> None:
        self._steps = steps
        self._watch(self._what, done, steps)

    def stepped(self, step: int) -> None:
        self._watch(self._what + self._said, step, self._steps)

    def learned(self, step: int, loss: float) -> None:
        pass

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:  # noqa: ARG002
        self._said = f" (held-back loss {measurements['loss']:.4f})"

    def stopping(self) -> bool:
        return False


@dataclass(frozen=True)
class _Course:
    """The settings as the Trainer's schedule: one stretch of updates that is measured so many times."""

    batch: int
    accumulate: int
    warm_up: float
    weight_decay: float
    clip_norm: float
    evaluations: int
    patience: int | None
    seed: int
    epochs: int = 1

    @classmethod
    def of(cls, settings: TextTraining, evaluations: int) -> _Course:
        names = ("batch", "accumulate", "warm_up", "weight_decay", "clip_norm", "patience", "seed")
        return cls(evaluations=evaluations, **{name: getattr(settings, name) for name in names})


def bfloat16(settings: TextTraining) -> bool:
    """True where the network computes in bfloat16."""
    if settings.precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return settings.precision == "bfloat16"


def _arguments(settings: TextTraining, course: _Course, folder: Path, total: int) -> Any:
    on_gpu = torch.cuda.is_available()
    optimizers = {"adafactor": "adafactor", "adamw": "adamw_torch_fused" if on_gpu else "adamw_torch"}
    return arguments(
        course,
        folder,
        total,
        on_gpu=on_gpu,
        max_steps=total,
        learning_rate=settings.learning_rate,
        optim=optimizers[settings.optimizer],
        use_cpu=not on_gpu,
        bf16=bfloat16(settings),
        metric_for_best_model="loss",
        greater_is_better=False,
        save_only_model=True,
        accelerator_config={"non_blocking": on_gpu},
    )


class _Rows(Dataset[TextRow]):
    """The batch sampler's rows, which are their own keys."""

    def __init__(self, order: Order, n: int) -> None:
        self._order = order
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, row: Any) -> TextRow:
        found: TextRow = row
        return found
