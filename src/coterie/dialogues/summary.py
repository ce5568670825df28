"""What data sets are like, as they were loaded: the thesis' table 6.1."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.dialogues.dialogue import Dialogue
from coterie.dialogues.layout import fingerprint


@dataclass(frozen=True)
class Spread:
    """How numbers lie."""

    mean: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Spread:
        """Raises `ValueError` of no numbers."""
        return cls(statistics.fmean(numbers), statistics.median(numbers), min(numbers), max(numbers))


@dataclass(frozen=True)
class Summary:
    """What one data set is like."""

    dataset: str
    domains: Mapping[str, int] = field(hash=False)
    """Conversations by domain, most first."""
    conversations: int
    turns: int
    turns_each: Spread
    """Turns of a conversation."""
    answers_each: Spread
    """Gold answers of a question, equal ones counted as often as they were given."""
    passage_words: Spread | None
    """Words, by white space, of each passage, and of a turn's own ones together. `None` for closed book."""
    unanswerable: int
    """Questions whose main gold answer says that there is none."""
    dropped: int
    """Questions left out because the conversation has no gold answer from there on."""
    fingerprint: str
    """Of the dialogues, in their order."""


def summarize(dialogues: Iterable[Dialogue]) -> tuple[Summary, ...]:
    """One summary a data set, in the order in which they come first."""
    by_name: dict[str, list[Dialogue]] = {}
    for dialogue in dialogues:
        by_name.setdefault(dialogue.dataset, []).append(dialogue)
    return tuple(_summary(name, found) for name, found in by_name.items())


def markdown(summaries: Iterable[Summary]) -> str:
    """The summaries as a Markdown table, one a line."""
    heads = (
        "data set", "domains", "conversations", "turns", "turns each", "answers each", "passage words", "unanswerable"
    )  # fmt: skip
    lines = [heads, ("---",) * len(heads), *map(_cells, summaries)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _summary(name: str, dialogues: Sequence[Dialogue]) -> Summary:
    questions = [question for dialogue in dialogues for question in dialogue.questions]
    words = [len(text.split()) for dialogue in dialogues for text in _passages(dialogue)]
    return Summary(
        name,
        dict(Counter(dialogue.domain for dialogue in dialogues).most_common()),
        len(dialogues),
        len(questions),
        Spread.of([len(dialogue.questions) for dialogue in dialogues]),
        Spread.of([len(question.answers) for question in questions]),
        Spread.of(words) if words else None,
        sum(question.unanswerable for question in questions),
        sum(dialogue.dropped for dialogue in dialogues),
        fingerprint(dialogues),
    )


def _passages(dialogue: Dialogue) -> Iterator[str]:
    if dialogue.passage:
        yield dialogue.passage
    yield from (" ".join(question.passages) for question in dialogue.questions if question.passages)


def _cells(summary: Summary) -> tuple[str, ...]:
    domains = ", ".join(f"{name or 'none named'} {n}" for name, n in summary.domains.items())
    return (
        summary.dataset.replace("|", "\\|"),
        domains.replace("|", "\\|"),
        str(summary.conversations),
        str(summary.turns),
        _told(summary.turns_each),
        _told(summary.answers_each),
        "closed book" if summary.passage_words is None else _told(summary.passage_words, 0),
        f"{summary.unanswerable} ({summary.unanswerable / summary.turns:.1%})",
    )


def _told(spread: Spread, digits: int = 1) -> str:
    return f"{spread.mean:.{digits}f} (median {spread.median:g}, {spread.low:g} to {spread.high:g})"
