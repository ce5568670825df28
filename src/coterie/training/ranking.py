"""Training a ranker, from files of examples to a folder that a judge opens."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.quiet import quiet
from coterie.training import cards, corpus, history, ready, starting, surroundings
from coterie.training.cards import Course
from coterie.training.corpus import Data
from coterie.training.ready import Ready
from coterie.training.settings import AnyTraining
from coterie.training.undertaking import Undertaking, update_of
from coterie.training.watching import Unwatched, Watch
from coterie.types import Json

if TYPE_CHECKING:
    from torch import nn

    from coterie.training.kinds import RankerKind
    from coterie.training.trainer import RankerTrainer


@dataclass(frozen=True)
class Task:
    """A training, before anything is read."""

    settings: AnyTraining
    data: Data
    out: Path
    """The ranker's folder."""
    resume: bool = False
    """Go on from the last checkpoint in there."""

    @property
    def place(self) -> Undertaking:
        """The folder while training lasts."""
        return Undertaking(self.out, self.resume)


def train(task: Task, watch: Watch | None = None) -> dict[str, Json] | None:
    """The card of the ranker that then lies in `task.out`; ``None`` where the watch stopped it, to be resumed.

    The folder has the published layout (docs/design/0002, section 4), `history.json` and, with matplotlib,
    `history.png`. Raises `ConfigError` for data with nothing to learn from, a base that cannot be used, a folder
    that is taken, or other settings or data than those to be resumed; `MissingExtra` without the extra `train`.
    """
    surroundings.check()
    starting.check(task.settings.base)
    began, looking = time.monotonic(), watch or Unwatched()
    task.place.check()
    try:
        trainer, both = set_up(task, looking)
    except BaseException:
        task.place.abandon()
        raise
    start = task.place.last()
    with quiet():
        if not trainer.go(start):
            looking.say(f"stopped after update {trainer.state.global_step}; it can be resumed from there")
            return None
        measurements = _written(task, trainer, both, looking)
        course = _course(trainer, both, start, time.monotonic() - began)
        made = cards.card(task.settings, task.data, both, course, measurements)
        cards.save(made, task.place.folder)
    task.place.end()
    return made


# ---- before --------------------------------------------------------------------------------------


def set_up(task: Task, watch: Watch) -> tuple[RankerTrainer, Ready]:
    """Everything read, the folder laid out, and the trainer with its network, untrained."""
    settings = task.settings
    examples = corpus.gather(task.data, settings.leave_out)  # first, so that wrong data is found at once
    with quiet():
        from transformers import set_seed

        from coterie.training.kinds import kind_of

        base = starting.find(settings.base)
        found = starting.lay_out(base, settings, task.place.folder)
        kind = kind_of(settings.kind, found)
        both = ready.make(examples, kind, settings)
        task.place.begin({"kind": settings.kind, **asdict(settings)}, both.fingerprint())
        watch.say(both.summary())
        set_seed(settings.seed)
        network = kind.network(found)
        starting.fill(network, base, kind.vocabulary)
        _check_positions(network, kind, settings)
        return _trainer(task, network, kind, both, watch), both


def _trainer(task: Task, network: nn.Module, kind: RankerKind, both: Ready, watch: Watch) -> RankerTrainer:
    from coterie.training.batches import Collator
    from coterie.training.heldout import HeldOut
    from coterie.training.passes import Passes
    from coterie.training.trainer import Parts, RankerTrainer

    settings = task.settings
    collator = Collator(kind, len(settings.metrics))
    passes = Passes(both.train, collator.cost, settings)
    if not passes.first:
        raise ConfigError(f"no candidates of any example can be read together with the sampling {settings.sampling!r}")
    if settings.length_penalty:
        collator.length_logit = settings.length_penalty * passes.length_slope()
    measured = both.measurable
    chosen = Random(settings.seed).sample(measured, min(settings.dev_examples, len(measured)))
    parts = Parts(network, kind, passes, collator, HeldOut(chosen, kind, collator.n_tasks), watch)
    made = RankerTrainer(parts, settings, task.place.checkpoints)
    read = "lists" if settings.kind in ("simcls", "summareranker") else "pairs"
    watch.say(
        f"{len(passes.first)} {read} in each of {settings.epochs} epochs, {passes.steps} updates each, "
        f"in {made.precision} on {made.device_name()}"
    )
    return made


def _check_positions(network: nn.Module, kind: RankerKind, settings: AnyTraining) -> None:
    from coterie.judges.placement import placed
    from coterie.judges.pretrained import most_tokens

    most = most_tokens(getattr(network, "pretrained_model", network), placed("auto", "auto", "training"))
    if most is not None and kind.longest > most:
        raise ConfigError(
            f"{settings.base!r} tells {most} places apart, and rows may have {kind.longest} tokens: "
            "lower source_tokens and candidate_tokens"
        )


# ---- after ---------------------------------------------------------------------------------------


def _written(task: Task, trainer: RankerTrainer, both: Ready, watch: Watch) -> dict[str, Json]:
    """The weights and the history in the folder, and what the judge that opens them says of the held-out prompts."""
    from coterie.training import heldout
    from coterie.training.trainer import save_weights

    save_weights(trainer.network, task.place.folder)
    history.of_log(trainer.state.log_history).leave(task.place.folder, watch)
    watch.say(f"measuring {len(both.dev)} examples with the judge that opens {str(task.out)!r}")
    margins = heldout.judged(task.settings.kind, task.place.folder, both.dev)
    return heldout.report(both.dev, margins, task.settings.seed)


def _course(trainer: RankerTrainer, both: Ready, start: str | None, seconds: float) -> Course:
    return Course(
        steps=trainer.state.global_step,
        best_step=trainer.state.best_global_step,
        seconds=round(seconds, 1),
        resumed_at=update_of(start) if start else None,
        device=trainer.device_name(),
        precision=trainer.precision,
        padding=round(trainer.padding(), 4),
        cut=round(both.cut, 4),
    )
