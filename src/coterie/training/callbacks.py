"""What happens between a Trainer's updates: measuring and saving when it is time, and telling whoever looks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from coterie.training.watching import Watch

# ruff: noqa: ARG002  (the Trainer hands everything to everybody)


class Milestones(TrainerCallback):
    """Measures and saves so many `times` in `total` updates, evenly, the last time at their end."""

    def __init__(self, times: int, total: int) -> None:
        self._steps = {round(total * n / times) for n in range(1, times + 1)}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step in self._steps:
            control.should_evaluate = control.should_save = control.should_log = True


class Teller(TrainerCallback):
    """Tells the watch, and stops when it wants to."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.stopped = False
        """True when the watch stopped it before its end."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._watch.began(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._watch.stepped(state.global_step)
        if state.global_step < state.max_steps and self._watch.stopping():
            self.stopped = control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        told = logs or {}
        if "loss" in told:
            self._watch.learned(state.global_step, told["loss"])
        measured = {name.removeprefix("eval_"): value for name, value in told.items() if name.startswith("eval_")}
        if measured:
            self._watch.measured(state.global_step, measured)
