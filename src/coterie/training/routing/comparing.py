"""Forecasts for a comparison: every prompt forecast by a router that has not seen it, and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.routing.forecasts import Forecasts, Timing
from coterie.routers.forecast import Fitted, Queries, Recipe, Vectors
from coterie.routers.spending import Spending

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.outcomes.outcome import Lessons, Outcomes
    from coterie.protocols import Encoder
    from coterie.training.routing.contenders import Contender
    from coterie.training.routing.trial import Part, Trial
    from coterie.types import Price

    Rows = NDArray[np.float32]

Watch = Callable[[str, int, int], None]

STEP_QUERIES = 256
"""Forecast between two words to the watcher."""

WARM_UP, TIMED = 10, 200
"""Single queries that are forecast before a clock runs, and while it does."""


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


@dataclass(eq=False)
class TextVectors:
    """The vectors of all texts of a trial, each encoded once, and only where a router reads vectors."""

    encoder: Encoder | None
    watch: Watch = _silent
    _known: dict[str, int] = field(default_factory=dict)
    _rows: Rows | None = None

    def of(self, texts: tuple[str, ...]) -> Rows:
        """(texts, dimensions). Raises `ConfigError` where there is no encoder, and what the encoder raises."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh or self._rows is None:
            self._add(fresh)
        assert self._rows is not None  # noqa: S101 - just added
        return self._rows[[self._known[text] for text in texts]]

    def _add(self, texts: list[str]) -> None:
        import numpy as np

        from coterie.encoders import vectors_of

        if self.encoder is None:
            raise ConfigError("routers that read vectors need an encoder: name one with --encoder")
        rows = vectors_of(self.encoder, texts, watch=self.watch)
        self._known |= {text: place for place, text in enumerate(texts, len(self._known))}
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])


@dataclass(frozen=True, eq=False)
class Setup:
    """What all contenders are given."""

    trial: Trial
    vectors: TextVectors
    prices: Mapping[str, Price] = field(default_factory=dict)
    """USD per million tokens, where they are known."""


def forecast(contender: Contender, setup: Setup, watch: Watch = _silent) -> Forecasts:
    """What the contender expects on the measured prompts, each part forecast by a router that learned from its lessons.

    Its expected costs are those of the lessons it learned from (`Spending`), by prices where they are known. An
    artifact learns nothing here: what it forecasts must be prompts that it was not trained on (`seen`).
    Raises `ConfigError` for lessons that it cannot learn from, and for members that it knows nothing of.
    """
    import numpy as np

    trial, vectors = setup.trial, setup.vectors
    measured = trial.measured
    quality = np.full(measured.scores.shape, np.nan)
    expected = np.full(measured.scores.shape, np.nan)
    fit_s, timing, fitted = 0.0, None, None
    for n, part in enumerate(trial.parts):
        watch(f"{contender.name}: parts", n, len(trial.parts))
        fitted, took_s = _fitted(contender, setup, part, watch)
        fit_s += took_s
        texts = tuple(measured.prompts[row] for row in part.measured)
        queries = Queries(texts, vectors.of(texts) if contender.reads_vectors else None)
        quality[part.measured] = qualities(fitted, queries, measured.members, contender.name, watch)
        expected[part.measured] = _spending(contender, trial, part).table(texts, measured.members, setup.prices)
        if n == len(trial.parts) - 1:
            timing = timed(fitted, queries)
    watch(f"{contender.name}: parts", len(trial.parts), len(trial.parts))
    if fitted is None or timing is None:
        raise ConfigError("a comparison has at least one part")
    return Forecasts(
        contender.name,
        quality,
        fitted.scale,
        contender.role,
        None if np.isnan(expected).any() else expected,
        reads_vectors=contender.reads_vectors,
        timing=replace(timing, fit_s=None if contender.recipe is None else fit_s),
        note=_note(fitted, measured.members),
    )


def timed(fitted: Fitted, queries: Queries) -> Timing:
    """What a decision takes, one query at a time: the median and the 99th percentile."""
    import numpy as np

    n = len(queries)
    chosen = [row % n for row in range(min(n, TIMED) + WARM_UP)]
    took = []
    for row in chosen:
        one = Queries(queries.texts[row : row + 1], None if queries.vectors is None else queries.vectors[row : row + 1])
        began = time.perf_counter()
        fitted.forecast(one)
        took.append(time.perf_counter() - began)
    p50, p99 = np.quantile(took[WARM_UP:], [0.5, 0.99])
    return Timing(float(p50), float(p99), len(took) - WARM_UP)


def timed_encoder(encoder: Encoder, texts: tuple[str, ...]) -> Timing:
    """What encoding one text takes, texts one after another, none of them encoded before. Blocks."""
    from coterie.door import Door

    door = Door()
    try:
        return door.run(_encoded(encoder, texts[: TIMED + WARM_UP]))
    finally:
        door.close()


async def _encoded(encoder: Encoder, texts: tuple[str, ...]) -> Timing:
    import numpy as np

    took = []
    async with encoder.open() as opened:
        for text in dict.fromkeys(texts):
            began = time.perf_counter()
            await opened.encode([text])
            took.append(time.perf_counter() - began)
    kept = took[WARM_UP:] if len(took) > 2 * WARM_UP else took
    p50, p99 = np.quantile(kept, [0.5, 0.99])
    return Timing(float(p50), float(p99), len(kept))


# ---- one part -----------------------------------------------------------------------------------


def _fitted(contender: Contender, setup: Setup, part: Part, watch: Watch) -> tuple[Fitted, float]:
    """The router, and the seconds that fitting it took, without the encoder's."""
    if contender.artifact is not None:
        return contender.artifact.fitted, 0.0
    if contender.recipe is None:
        raise ConfigError(f"{contender.name!r} has neither a recipe nor an artifact")
    lessons = setup.trial.lessons_of(part)
    vectors = lesson_vectors(contender.recipe, lessons, setup.vectors)
    began = time.perf_counter()
    fitted = contender.recipe.fit(lessons, vectors, _named(contender, watch))
    return fitted, time.perf_counter() - began


def _named(contender: Contender, watch: Watch) -> Watch:
    return lambda what, done, total: watch(f"{contender.name}: {what}", done, total)


def lesson_vectors(recipe: Recipe, lessons: Lessons, vectors: TextVectors) -> Vectors:
    """The vectors of what the recipe learns from."""
    if recipe.reads not in ("vectors", "both"):
        return Vectors()
    outcomes, battles = lessons.outcomes, lessons.battles
    learns = recipe.learns_from
    return Vectors(
        vectors.of(outcomes.prompts) if outcomes is not None else None,
        vectors.of(battles.prompts) if battles is not None and "battles" in learns else None,
    )


def qualities(
    fitted: Fitted, queries: Queries, members: tuple[str, ...], name: str, watch: Watch
) -> NDArray[np.float64]:
    """(queries, members), columns in the order of `members`; NaN for those that the router does not know."""
    import numpy as np

    known = [member for member in members if member in fitted.members]
    if len(known) < 2:
        raise ConfigError(
            f"the router {name!r} knows {list(fitted.members)!r}, and of the members {list(members)!r} fewer than two"
        )
    found = np.full((len(queries), len(members)), np.nan)
    theirs, ours = [fitted.members.index(m) for m in known], [members.index(m) for m in known]
    what = f"{name}: forecasts"
    watch(what, 0, len(queries))
    for begin in range(0, len(queries), STEP_QUERIES):
        rows = slice(begin, begin + STEP_QUERIES)
        step = Queries(queries.texts[rows], None if queries.vectors is None else queries.vectors[rows])
        found[rows, ours] = fitted.forecast(step).quality[:, theirs]
        watch(what, begin + len(step), len(queries))
    return found


def _spending(contender: Contender, trial: Trial, part: Part) -> Spending:
    """What calls are expected to cost, by what the router has learned from."""
    if contender.artifact is not None:
        return contender.artifact.spending
    learned: Outcomes | None = trial.lessons_of(part).outcomes
    return Spending() if learned is None else Spending.of(learned)


def _note(fitted: Fitted, members: tuple[str, ...]) -> str:
    strange = [member for member in members if member not in fitted.members]
    return f"it was not trained on {', '.join(strange)}, and never chooses them" if strange else ""
