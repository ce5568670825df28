"""The fuser that is being trained: its base, loaded, what it reads, what it is measured on, and how it is saved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coterie.errors import CoterieError
from coterie.evaluation.fusers import place_of
from coterie.fusers.generative.loading import Source, model_of, tokenizer_of
from coterie.fusers.generative.reading import reader, style_of
from coterie.training import fusing_model
from coterie.training.fusing_cards import Losses
from coterie.training.fusing_lessons import Lessons
from coterie.training.fusing_measuring import Gauge, constant_loss
from coterie.training.fusing_rows import Batches, Reading, Row
from coterie.training.fusing_settings import FuserTraining
from coterie.training.watching import Watch


@dataclass(frozen=True)
class Bench:
    """A base with an adapter or without, ready to be trained."""

    settings: FuserTraining
    base: Source
    model: Any
    """What is trained; with an adapter the base is frozen in it."""
    reading: Reading
    rows: list[Row]
    gauge: Gauge
    before: float
    """The held-out loss of the base."""
    cut: Counter[str]
    """What did not fit, on both sides."""

    @classmethod
    def opened(cls, settings: FuserTraining, lessons: Lessons, device: str = "auto") -> Bench:
        """Everything loaded and read. Raises `ConfigError`, `MissingExtra`, `ModelFilesError`."""
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device.lower())
        on_gpu = place.type == "cuda"
        base = Source(place_of(settings.base))
        tokenizer = tokenizer_of(base)
        model = model_of(base, torch.float32).to(place)
        reading = _reading(settings, tokenizer, encodes=bool(model.config.is_encoder_decoder))
        cut: Counter[str] = Counter()
        rows, held = reading.rows(lessons.train, cut), reading.rows(lessons.dev, cut)
        half = settings.precision == "bfloat16" or (settings.precision == "auto" and on_gpu)
        gauge = Gauge(held, Batches(int(tokenizer.pad_token_id), 8 if on_gpu else 1), settings.batch, half)
        before = gauge.loss(model)
        trained = fusing_model.with_adapter(model, settings) if settings.lora else model
        return cls(settings, base, trained, reading, rows, gauge, before, +cut)

    @property
    def device(self) -> str:
        """In words."""
        place: torch.device = self.model.device
        return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type

    @property
    def precision(self) -> str:
        return "bfloat16" if self.gauge.bfloat16 else "float32"

    def rounded(self) -> Losses:
        """The losses, the model's weights being rounded from now on to what `save` writes."""
        fusing_model.round_weights(self.model, self._dtype)
        constant = constant_loss(self.rows, self.gauge.rows, len(self.reading.tokenizer))
        return Losses(self.before, self.gauge.loss(self.model), constant, self.gauge.tokens)

    def save(self, folder: Path, watch: Watch) -> bool:
        """Afterwards `folder` holds the adapter or the whole model; true where it is an adapter for llama.cpp too.

        That is where the base is a file of llama.cpp's, and llama.cpp has a form for the adapter.
        """
        name = self.settings.said_base
        if not self.settings.lora:
            fusing_model.save_model(self.model, self.reading.tokenizer, name, self._dtype, folder)
            return False
        fusing_model.save_adapter(self.model, name, folder)
        return self.base.is_gguf and _write_gguf(folder, Path(self.base.name).expanduser(), watch)

    @property
    def _dtype(self) -> torch.dtype:
        """In which the weights are saved: an adapter's in float16, which llama.cpp reads too."""
        if self.settings.lora:
            return torch.float16
        return torch.bfloat16 if self.gauge.bfloat16 else torch.float32


def _reading(settings: FuserTraining, tokenizer: Any, *, encodes: bool) -> Reading:
    style = style_of(tokenizer, encodes=encodes) if settings.style == "auto" else settings.style
    return Reading(tokenizer, reader(tokenizer, style), encodes, settings.budgets, settings.target_tokens)


def _write_gguf(folder: Path, base: Path, watch: Watch) -> bool:
    from coterie.members.llama_cpp import write_gguf

    try:
        write_gguf(folder, folder / "adapter.gguf", base)
    except CoterieError as error:
        watch.say(f"the adapter has no form for llama.cpp: {error}")
        return False
    return True
