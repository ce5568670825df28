"""Numbers of a report, and a line about what is being measured."""

from __future__ import annotations

import statistics
import sys
import textwrap
from collections.abc import Iterator, Sequence

WIDTH = 120


def progress(text: str) -> None:
    """Show what is being measured, on one line where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 90th percentile and interquartile range."""
    if len(values) < 2:
        return values[0], values[0], 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), statistics.quantiles(values, n=10, method="inclusive")[-1], high - low


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of `text` in lines of a page's width, however they were broken; an empty line after each."""
    for paragraph in text.strip().split("\n\n"):
        words = " ".join(paragraph.split())
        yield textwrap.fill(words, WIDTH, break_long_words=False, break_on_hyphens=False)
        yield ""
