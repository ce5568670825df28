"""What a fuser learns from: a question, the K best candidates, and the reference it is to write out of them.

As LLM-Blender's GenFuser was taught (2306.02561, section 4): the candidates that a ranker or a score puts
first, in random order, now and then one of the others among them, so that the fuser leans neither on places nor
on all of its input being good. Prompts that are set aside are put as a committee puts them: best first.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from coterie.errors import ConfigError
from coterie.evaluation.asking import request_of
from coterie.evaluation.fusing_choice import Ranks
from coterie.examples import Example
from coterie.fusers.generative.prompt import Told, told

SHORTEST, LONGEST = 2, 8
"""Words of what counts as repeated."""

REPEATS = 4
"""So often in a row makes a loop."""


@dataclass(frozen=True)
class Lesson:
    """One thing to learn."""

    told: Told
    target: str
    origin: str = ""

    @property
    def copies(self) -> bool:
        """True when the target is one of the candidates, so that copying it is all that is learned."""
        return self.target.strip() in {text.strip() for text in self.told.candidates}


@dataclass(frozen=True)
class Lessons:
    """What is learned and what is measured."""

    train: Sequence[Lesson]
    dev: Sequence[Lesson]
    chooser: str = "lot"
    """Who chose the candidates."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many examples were left out, by the reason."""
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Equal for equal lessons."""
        digest = hashlib.blake2b(digest_size=16)
        for lesson in (*self.train, *self.dev):
            digest.update(repr((lesson.told, lesson.target)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Choosing:
    """Which candidates a fuser is shown."""

    top_k: int = 3
    """The best so many; 0 for all."""
    noise: float = 0.1
    """How often one of them is replaced by one of the others, while learning."""

    def __post_init__(self) -> None:
        if self.top_k < 0:
            raise ConfigError(f"top_k is at least 0, not {self.top_k!r}")
        if not 0 <= self.noise <= 1:
            raise ConfigError(f"noise is a probability, not {self.noise!r}")

    def to_learn(self, example: Example, ranks: Ranks, rng: Random) -> Lesson | str:
        """The lesson in random order, with noise and without loops, or why there is none. Lots decide ties."""
        places = _with_text(example)
        rng.shuffle(places)
        places.sort(key=lambda place: ranks[place])
        best, others = self._parted(places)
        if others and rng.random() < self.noise:
            best[rng.randrange(len(best))] = rng.choice(others)
        rng.shuffle(best)
        return _lesson(example, [without_loops(example.candidates[place].text) for place in best])

    def as_used(self, example: Example, ranks: Ranks) -> Lesson | str:
        """The lesson as a committee would put it, best first; or why there is none."""
        best, _ = self._parted(sorted(_with_text(example), key=lambda place: ranks[place]))
        return _lesson(example, [example.candidates[place].text for place in best])

    def _parted(self, places: Sequence[int]) -> tuple[list[int], list[int]]:
        top_k = self.top_k or len(places)
        return list(places[:top_k]), list(places[top_k:])


def to_learn(
    examples: Iterable[tuple[Example, Ranks]], choosing: Choosing, seed: int, left_out: Counter[str]
) -> Iterator[Lesson]:
    """A lesson from each example that has one; `left_out` counts the others by the reason."""
    for n, (example, ranks) in enumerate(examples):
        yield from _kept(choosing.to_learn(example, ranks, Random(f"{seed}:{n}")), left_out)


def as_used(examples: Iterable[tuple[Example, Ranks]], choosing: Choosing, left_out: Counter[str]) -> Iterator[Lesson]:
    """The same for prompts that are set aside, put as a committee would."""
    for example, ranks in examples:
        yield from _kept(choosing.as_used(example, ranks), left_out)


def _kept(made: Lesson | str, left_out: Counter[str]) -> Iterator[Lesson]:
    if isinstance(made, str):
        left_out[made] += 1
    else:
        yield made


def without_loops(text: str) -> str:
    """`text` up to the end of the first words that are said four times in a row, which is where a model got stuck."""
    words = [(match.group(), match.end()) for match in re.finditer(r"\S+", text)]
    loops = [(start, n) for n in range(SHORTEST, LONGEST + 1) if (start := _loop([w for w, _ in words], n)) is not None]
    if not loops:
        return text
    start, n = min(loops)
    return text[: words[start + n - 1][1]]


def _loop(words: Sequence[str], n: int) -> int | None:
    """Where the first run of `n` words begins that is followed by itself often enough."""
    same = 0
    for place in range(len(words) - n):
        same = same + 1 if words[place] == words[place + n] else 0
        if same == n * (REPEATS - 1):
            return place + 1 - same
    return None


def _with_text(example: Example) -> list[int]:
    return [place for place, text in enumerate(example.candidates) if text.text.strip()]


def _lesson(example: Example, texts: Sequence[str]) -> Lesson | str:
    if not example.output.strip():
        return "examples without a reference"
    if not example.source.strip():
        return "examples without a question"
    if not texts:
        return "examples without candidates"
    return Lesson(told(request_of(example).messages, texts), example.output, example.origin)
