"""Which candidates a fuser is shown: those that a judge, or a score in the data, puts first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coterie.committee import Committee
from coterie.errors import ConfigError
from coterie.evaluation.asking import Ruled, ask_all
from coterie.evaluation.judges import judge_of
from coterie.examples import Example

Ranks = Sequence[float]
"""Of an example's candidates; less is better."""

SCORES, NOBODY = "scores", "none"
"""Words for choosing by what the data says, and for not choosing at all."""


@dataclass(frozen=True)
class Choice:
    """Who says which candidates are best."""

    name: str
    """For people."""
    ruled: Ruled | None = None
    metric: str | None = None
    """The score in the data that says so, where no judge does."""

    async def ranks(
        self, committee: Committee, examples: Sequence[Example], *, on_done: Callable[[], None] = lambda: None
    ) -> tuple[list[Ranks], tuple[str, ...]]:
        """Of each example, and what must be known before trusting them. `on_done` is called after each judged one."""
        if self.ruled is not None:
            asked = await ask_all(committee, self.ruled, examples, on_done=on_done)
            return list(asked.ranks), asked.notes
        if self.metric is not None:
            return [_by_score(example, self.metric) for example in examples], ()
        return [[0.0] * len(example.candidates) for example in examples], ()


def choice_of(text: str, examples: Iterable[Example], metric: str | None = None) -> Choice:
    """Who chooses, from what a person wrote: a judge (see `judge_of`), `scores` with the score's name, or `none`.

    The score may be left out where the data has only one. Raises `ConfigError`.
    """
    if text == NOBODY:
        return Choice("lot")
    if text == SCORES:
        found = _metric_of(examples, metric)
        return Choice(f"the score {found!r} in the data", metric=found)
    name, judge = judge_of(text)
    return Choice(name, Ruled(name, judge))


def _by_score(example: Example, metric: str) -> Ranks:
    """Candidates that lack the score come last."""
    return [-text.scores.get(metric, float("-inf")) for text in example.candidates]


def _metric_of(examples: Iterable[Example], wanted: str | None) -> str:
    known = sorted({metric for example in examples for text in example.candidates for metric in text.scores})
    if wanted in known:
        return str(wanted)
    if wanted is None and len(known) == 1:
        return known[0]
    said = "say by which score candidates are chosen" if wanted is None else f"no candidate has a score {wanted!r}"
    raise ConfigError(f"{said}; the data has {', '.join(known) or 'none'}")
