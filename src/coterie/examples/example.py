"""What an example is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["a", "b", "same_good", "same_bad"]
"""Which of two is better, or that both are good, or bad. A tie that nobody explained is `same_good`."""

PREFERENCE = "preference"
"""The score of preference pairs and best-of-N labels: 1 for the chosen text, 0 for another."""


@dataclass(frozen=True)
class Text:
    """A candidate answer."""

    text: str
    model: str = ""
    """Who wrote it; empty where nobody says."""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """By metric, more is better. What is not known is not there."""


@dataclass(frozen=True)
class Comparison:
    """What somebody said of two candidates, by their places."""

    a: int
    b: int
    verdict: Verdict
    by: str = ""
    """Who said so; empty where nobody says."""


@dataclass(frozen=True)
class Example:
    """A question, its candidates, and what is known of them."""

    id: str
    instruction: str = ""
    input: str = ""
    candidates: tuple[Text, ...] = ()
    output: str = ""
    """The reference answer; empty where there is none."""
    comparisons: tuple[Comparison, ...] = ()
    origin: str = ""
    """The data set it comes from, as its record says."""
    label: str = ""
    """Where the labels come from: ``gpt4_judge``, ``human``..., as the record says."""

    @property
    def source(self) -> str:
        """Instruction and input joined without a separator, as LLM-Blender's rankers read them."""
        return self.instruction + self.input
