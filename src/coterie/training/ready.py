"""Both sides of the data as a ranker reads them, checked for what its training needs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.errors import ConfigError
from coterie.examples import Example
from coterie.training import measures
from coterie.training.corpus import Corpus
from coterie.training.preparing import Prepared, Preparing, Reader
from coterie.training.quality import COMPARISONS
from coterie.training.settings import ONLY_ORDER, AnyTraining


@dataclass(frozen=True)
class Ready:
    """What is learned and what is measured."""

    train: list[Prepared]
    dev: list[Prepared]
    left_out: Counter[str]
    """How many examples and candidates were left out, by the reason, on both sides together."""

    @property
    def measurable(self) -> list[Prepared]:
        """Of the measured side the examples that can tell rankers apart, by the mean of their metrics."""
        return [prepared for prepared in self.dev if any(True for _ in measures.deciding(prepared.qualities))]

    @property
    def cut(self) -> float:
        """Share of the examples of which some text did not fit."""
        return sum(p.tokens.cut for p in (*self.train, *self.dev)) / (len(self.train) + len(self.dev))

    def summary(self) -> str:
        """In one line."""
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.left_out.items() if n)
        return f"{len(self.train)} examples to learn from, {len(self.dev)} to measure; left out: {reasons or 'none'}"

    def fingerprint(self) -> str:
        """Equal for equal data that is read equally."""
        digest = hashlib.blake2b(digest_size=16)
        for side in (self.train, self.dev):
            for prepared in side:
                tokens = prepared.tokens
                read = (tokens.source, tokens.reference, *tokens.candidates)
                digest.update(repr((prepared.qualities, [row and row.ids.tolist() for row in read])).encode())
            digest.update(b"|")
        return digest.hexdigest()


def make(corpus: Corpus, reader: Reader, settings: AnyTraining) -> Ready:
    """The corpus made ready. Raises `ConfigError` where nothing is left to learn from or to measure."""
    ties = settings.loss is not None and settings.loss not in ONLY_ORDER
    left_out = Counter(corpus.left_out)
    train = list(Preparing(reader, settings.metrics, ties).all(corpus.train, left_out))
    dev = list(Preparing(reader, settings.metrics).all(corpus.dev, left_out))
    why = "; left out: " + ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
    if not train:
        raise ConfigError(f"there is nothing to learn from{why}{_known_metrics(corpus.train, settings.metrics)}")
    both = Ready(train, dev, left_out)
    if not both.measurable:
        raise ConfigError(
            f"there is nothing to measure on held-out prompts; raise held_out, or name a dev file{why}"
            f"{_known_metrics(corpus.dev, settings.metrics)}"
        )
    if settings.loss == "open_instruct_BCE" and not _are_shares(train):
        raise ConfigError("the loss 'open_instruct_BCE' needs qualities between 0 and 1; some of these are not")
    return both


def _known_metrics(examples: Iterable[Example], wanted: Sequence[str]) -> str:
    known = {metric for example in examples for text in example.candidates for metric in text.scores}
    if known.issuperset(set(wanted) - {COMPARISONS}):
        return ""
    there = ", ".join(sorted(known)) or "none"
    return f"; the metrics asked for are {', '.join(wanted)}, those that candidates have are {there}"


def _are_shares(prepared: Iterable[Prepared]) -> bool:
    return all(0 <= value <= 1 for p in prepared for quality in p.qualities for value in quality)
