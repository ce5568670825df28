"""Training a fuser, from files of examples to a folder that `Generative` opens."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.committee import Committee
from coterie.errors import ConfigError
from coterie.evaluation.fusing_choice import NOBODY, Choice, Ranks, choice_of
from coterie.examples import Example
from coterie.training import corpus, fusing_cards, fusing_lessons, surroundings
from coterie.training.corpus import Data
from coterie.training.fusing_cards import Course
from coterie.training.fusing_lessons import Lessons
from coterie.training.fusing_settings import FuserTraining
from coterie.training.history import of_log
from coterie.training.undertaking import Undertaking, update_of
from coterie.training.watching import Unwatched, Watch
from coterie.types import Json

if TYPE_CHECKING:
    from coterie.training.fusing_bench import Bench
    from coterie.training.fusing_trainer import FuserTrainer


@dataclass(frozen=True)
class FuserTask:
    """A training, before anything is read."""

    settings: FuserTraining
    data: Data
    out: Path
    """The fuser's folder."""
    ranker: str = NOBODY
    """Who chooses the candidates that are shown: see `choice_of`."""
    metric: str | None = None
    """The score in the data to choose by, with the ranker `scores`."""
    resume: bool = False
    """Go on from the last checkpoint in there."""
    device: str = "auto"

    @property
    def place(self) -> Undertaking:
        """The folder while training lasts."""
        return Undertaking(self.out, self.resume)


def train(task: FuserTask, watch: Watch | None = None) -> dict[str, Json] | None:
    """The card of the fuser that then lies in `task.out`; ``None`` where the watch stopped it, to be resumed.

    The folder holds an adapter's files or a whole model's, and `history.json`. Raises `ConfigError` for data with
    nothing to learn from, a base that cannot be used, a folder that is taken, or other settings or data than those
    to be resumed; `MissingExtra` without the extra `train`.
    """
    surroundings.check()
    began, looking = time.monotonic(), watch or Unwatched()
    task.place.check()
    lessons = lessons_of(task, looking)
    try:
        bench, trainer = _set_up(task, lessons, looking)
    except BaseException:
        task.place.abandon()
        raise
    start = task.place.last()
    if not trainer.go(start):
        looking.say(f"stopped after update {trainer.state.global_step}; it can be resumed from there")
        return None
    course = _written(task, bench, trainer, start, looking, began)
    made = fusing_cards.card(task.settings, task.data, lessons, course)
    fusing_cards.save(made, task.place.folder)
    task.place.end()
    return made


def _set_up(task: FuserTask, lessons: Lessons, watch: Watch) -> tuple[Bench, FuserTrainer]:
    """Everything loaded, and nothing learned yet; what is trained is written down, or is what was begun before."""
    from coterie.training.fusing_bench import Bench
    from coterie.training.fusing_trainer import FuserTrainer

    task.place.begin(asdict(task.settings), lessons.fingerprint())
    bench = Bench.opened(task.settings, lessons, task.device)
    watch.say(
        f"{len(lessons.train)} examples to learn from, {len(lessons.dev)} to measure; "
        f"held-out loss before: {bench.before:.4f}"
    )
    return bench, FuserTrainer(task.settings, bench.model, bench.rows, bench.gauge, task.place.checkpoints, watch)


def _written(
    task: FuserTask, bench: Bench, trainer: FuserTrainer, start: str | None, watch: Watch, began: float
) -> Course:
    """How it went; afterwards the weights and the history are in the folder."""
    losses = bench.rounded()
    for_llama_cpp = bench.save(task.place.folder, watch)
    of_log(trainer.state.log_history).leave(task.place.folder, watch)
    return Course(
        losses=losses,
        style=bench.reading.reader.style,
        updates=trainer.state.global_step,
        best_update=trainer.state.best_global_step or trainer.state.global_step,
        resumed_at=update_of(start) if start else None,
        cut=dict(bench.cut),
        seconds=round(time.monotonic() - began, 1),
        device=bench.device,
        precision=bench.precision,
        for_llama_cpp=for_llama_cpp,
    )


# ---- lessons ----------------------------------------------------------------------------------


def lessons_of(task: FuserTask, watch: Watch) -> Lessons:
    """What is learned and measured. Raises `ConfigError` where there is nothing of one of them."""
    found = corpus.gather(task.data)
    examples = [*found.train, *found.dev]
    choice = choice_of(task.ranker, examples, task.metric)
    if choice.ruled is not None:
        watch.say(f"{choice.name} ranks the candidates of {len(examples)} examples")
    ranks, notes = asyncio.run(_ranked(choice, examples))
    ranked = list(zip(examples, ranks, strict=True))
    left_out = Counter(found.left_out)
    choosing, learned = task.settings.choosing, len(found.train)
    train = list(fusing_lessons.to_learn(ranked[:learned], choosing, task.settings.seed, left_out))
    dev = list(fusing_lessons.as_used(ranked[learned:], choosing, left_out))
    _check_lessons(train, dev, left_out)
    return Lessons(train, dev, choice.name, +left_out, notes)


async def _ranked(choice: Choice, examples: Sequence[Example]) -> tuple[list[Ranks], tuple[str, ...]]:
    async with Committee((), {}) as committee:
        return await choice.ranks(committee, examples)


def _check_lessons(train: Sequence[object], dev: Sequence[object], left_out: Counter[str]) -> None:
    if train and dev:
        return
    why = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
    missing = "to measure: raise the held-out share, or name a dev file" if train else "to learn from"
    raise ConfigError(f"there is nothing {missing}; left out: {why or 'none'}")
