"""transformers' Trainer for rankers: what is read in which order, the loss and what is measured are ours."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import TrainingArguments

from coterie.errors import ConfigError
from coterie.judges.pointwise.network import RankerNetwork
from coterie.training.batches import ROWS, Collator, Tensors
from coterie.training.kinds import RankerKind
from coterie.training.losses import PAIR_LOSSES, Loss, Target, simcls, summareranker
from coterie.training.passes import Passes, Unit
from coterie.training.settings import AnyTraining
from coterie.training.watched_trainer import WatchedTrainer, arguments
from coterie.training.watching import Watch

Measure = Callable[[nn.Module], Mapping[str, float]]
"""What held-out prompts say of a network."""

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a training is made of."""

    network: nn.Module
    kind: RankerKind
    passes: Passes
    collator: Collator
    measure: Measure
    watch: Watch


class RankerTrainer(WatchedTrainer):
    """A Trainer for every kind of ranker."""

    def __init__(self, parts: Parts, settings: AnyTraining, folder: Path) -> None:
        total = parts.passes.steps * settings.epochs
        super().__init__(
            settings,
            total,
            parts.watch,
            model=parts.network,
            args=_arguments(settings, folder, total),
            data_collator=parts.collator,
            train_dataset=_Units(parts.passes),
            eval_dataset=_Units(parts.passes),  # never read: `evaluate` is ours
        )
        self.model_accepts_loss_kwargs = False
        self.loss_is_scaled_for_ga = False
        self.parts = parts
        self._settings = settings
        self._loss = _loss_of(settings)

    @property
    def network(self) -> nn.Module:
        """What is trained; at the end the best that was measured."""
        return self.parts.network

    @property
    def precision(self) -> str:
        """In which the network computed; its weights are in float32."""
        return precision_of(self._settings)

    def device_name(self) -> str:
        """Where it computed, as its maker calls it."""
        if self.args.device.type == "cuda":
            return torch.cuda.get_device_name(self.args.device)
        return f"{self.args.device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"

    def padding(self) -> float:
        """The share of the tokens read in training that was padding."""
        collator = self.parts.collator
        return 1 - collator.tokens / collator.padded if collator.padded else 0.0

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches as the passes cut them."""
        loader: DataLoader[Any] = DataLoader(
            _Units(self.parts.passes),
            batch_sampler=self.parts.passes,
            collate_fn=self.parts.collator,
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
        """The weighted sum of the units' losses, and what the network adds of its own."""
        said = model(*(inputs[name] for name in ROWS))
        scores = self.parts.kind.scores(said, inputs["layout"])
        target = Target(inputs["quality"], inputs["present"], inputs["offset"], self._settings.label_smoothing)
        loss = (self._loss(scores, target) * inputs["weight"]).sum()
        if self._settings.kind == "summareranker":
            loss = loss + cast(RankerNetwork, self.parts.network).auxiliary_loss
        return (loss, scores) if return_outputs else loss

    def measurements(self) -> Mapping[str, float]:
        """What the held-out prompts say."""
        return self.parts.measure(self.parts.network.eval())

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        save_weights(self.parts.network, Path(output_dir or str(self.args.output_dir)), state_dict)


def save_weights(network: nn.Module, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Afterwards `folder` holds the network's weights in `model.safetensors`, tied ones as often as they are named."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = network.state_dict() if state is None else state
    separate = {name: weight.detach().cpu().clone().contiguous() for name, weight in weights.items()}
    file = folder / WEIGHTS
    save_file(separate, file, metadata={"format": "pt"})
    file.chmod(0o666 & ~_umask())  # it is written for its owner's eyes alone


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def precision_of(settings: AnyTraining) -> str:
    """`auto` resolved for this machine. Raises `ConfigError` for float16 without a GPU, where nothing scales it."""
    on_gpu = torch.cuda.is_available()
    if settings.precision == "auto":
        if not on_gpu:
            return "float32"
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if settings.precision == "float16" and not on_gpu:
        raise ConfigError("precision 'float16' needs a GPU; 'bfloat16' and 'float32' run anywhere")
    return settings.precision


def _arguments(settings: AnyTraining, folder: Path, total: int) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    precision = precision_of(settings)
    optimizers = {"adafactor": "adafactor", "adamw": "adamw_torch_fused" if on_gpu else "adamw_torch"}
    return arguments(
        settings,
        folder,
        total,
        on_gpu=on_gpu,
        learning_rate=settings.learning_rate,
        optim=optimizers[settings.optimizer],
        use_cpu=not (on_gpu or torch.backends.mps.is_available()),
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        metric_for_best_model=settings.metric,
        greater_is_better=True,
        logging_first_step=True,
        accelerator_config={"non_blocking": on_gpu},
    )


def _loss_of(settings: AnyTraining) -> Loss:
    if settings.loss is not None:
        return PAIR_LOSSES[settings.loss]
    return simcls if settings.kind == "simcls" else summareranker


class _Units(Dataset[Unit]):
    """The batch sampler's units, which are their own keys."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def __len__(self) -> int:
        return len(self._passes.first)

    def __getitem__(self, unit: Any) -> Unit:
        found: Unit = unit
        return found
