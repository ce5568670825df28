"""The data of a training: which files, under which licence, and which prompts are held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.errors import ConfigError
from coterie.examples import Example, held_out, read
from coterie.examples.split import prompt_key

UNSTATED = "not stated"


@dataclass(frozen=True)
class DataFile:
    """A file of examples."""

    name: str
    """As `coterie.examples.read` takes it: a file, or one of a repository on the hub."""
    licence: str = UNSTATED
    """Of its data, in the words of whoever trains."""


def files(names: Sequence[str], licences: Sequence[str] = ()) -> tuple[DataFile, ...]:
    """The files of these names under one licence, or each under its own. Raises `ConfigError` for any other number."""
    stated = list(licences) or [UNSTATED]
    if len(stated) == 1:
        stated *= len(names)
    if len(stated) != len(names):
        raise ConfigError(f"there are {len(stated)} licences for {len(names)} files: give one, or one for each file")
    return tuple(map(DataFile, names, stated))


@dataclass(frozen=True)
class Data:
    """What to learn from, and what to measure."""

    files: tuple[DataFile, ...]
    dev: str | None = None
    """A file to measure instead of held-out prompts."""
    held_out: float = 0.15
    """Share of the prompts that is measured and never learned."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("there is no data to train on: name at least one file")
        if self.dev is None and not 0 < self.held_out < 1:
            raise ConfigError(f"held_out is a share between 0 and 1, not {self.held_out!r}")


@dataclass(frozen=True)
class Corpus:
    """Examples on both sides; no prompt is on both."""

    train: list[Example]
    dev: list[Example]
    left_out: Counter[str]
    """How many examples were left out already, by the reason."""


def gather(data: Data, leave_out: Sequence[str] = ()) -> Corpus:
    """The examples of all files, split by their prompts' text; those of an origin or label type in `leave_out` are only
    measured.

    Raises `ConfigError` for files that cannot be read, and for names in `leave_out` that no example has.
    """
    examples = [example for file in data.files for example in read(file.name)]
    _check_names(examples, leave_out)
    kept, aside = (examples, list(read(data.dev))) if data.dev is not None else held_out(examples, data.held_out)
    left_out: Counter[str] = Counter()
    barred = [example for example in kept if {example.origin, example.label} & set(leave_out)]
    train = [example for example in kept if not {example.origin, example.label} & set(leave_out)]
    measured = _prompts(aside)
    learned = [example for example in train if prompt_key(example) not in measured]
    left_out["examples whose prompt is measured"] = len(train) - len(learned)
    seen = _prompts(learned)
    unseen = [example for example in barred if prompt_key(example) not in seen]
    left_out["examples that are only measured"] = len(unseen)
    left_out["examples to be measured alone whose prompt is learned"] = len(barred) - len(unseen)
    return Corpus(learned, aside + unseen, left_out)


def _check_names(examples: Iterable[Example], leave_out: Sequence[str]) -> None:
    known = {name for example in examples for name in (example.origin, example.label)} - {""}
    for name in leave_out:
        if name not in known:
            raise ConfigError(f"no example's origin or label type is {name!r}; there are {', '.join(sorted(known))}")


def _prompts(examples: Iterable[Example]) -> set[str]:
    return {prompt_key(example) for example in examples}
