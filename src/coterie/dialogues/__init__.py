"""Dialogues: conversations of questions with known answers, to try members, methods and policies on."""

from coterie.dialogues.dialogue import UNKNOWN, Dialogue, Question
from coterie.dialogues.interview import CLOSED_BOOK, OPEN_BOOK, Interview, history
from coterie.dialogues.layout import fingerprint, record_of
from coterie.dialogues.reading import DATASETS, read
from coterie.dialogues.sampling import sample
from coterie.dialogues.summary import Spread, Summary, markdown, summarize

__all__ = [
    "CLOSED_BOOK",
    "DATASETS",
    "OPEN_BOOK",
    "UNKNOWN",
    "Dialogue",
    "Interview",
    "Question",
    "Spread",
    "Summary",
    "fingerprint",
    "history",
    "markdown",
    "read",
    "record_of",
    "sample",
    "summarize",
]
