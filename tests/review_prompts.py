"""Prompts as an honest reader takes them: by the fences of the first block, and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from coterie import Reply
from coterie.types import TokenLogprob

Score = Callable[[str], float]


@dataclass(frozen=True)
class Fenced:
    """A prompt of ours, and what stands between its fences."""

    text: str

    @property
    def mark(self) -> str:
        """Of the first fence: nobody else's text stands before it."""
        found = re.search(r"^<[a-z]+-([0-9a-f]+)(?: id=\"\w+\")?>$", self.text, re.MULTILINE)
        assert found
        return found[1]

    def blocks(self, noun: str) -> list[tuple[str, str]]:
        """Label and text of each block of that noun, in the order in which they stand."""
        name = f"{noun}-{self.mark}"
        fence = re.compile(rf'^<{name}(?: id="(\w+)")?>\n(.*?)\n</{name}>$', re.DOTALL | re.MULTILINE)
        return fence.findall(self.text)

    @property
    def answers(self) -> dict[str, str]:
        return dict(self.blocks("answer"))

    @property
    def form(self) -> str:
        """What is asked for, after the last fence."""
        return self.text.rpartition(f"-{self.mark}>")[2]

    # ---- a ballot of the kind that is asked for ----

    @property
    def is_one_digit(self) -> bool:
        return "Reply with one digit" in self.form

    @property
    def criteria(self) -> Sequence[str]:
        """Of a pointwise ballot; empty for any other."""
        named = re.findall(r'("(?:[^"\\]|\\.)+"): <\d', self.form) if '{"answer": ' in self.form else ()
        return [json.loads(name) for name in named]

    def ballot(self, score: Score, reason: str = "so") -> str:
        """As JSON; every criterion scored alike."""
        if not self.criteria:
            return json.dumps(
                {"scores": {label: score(text) for label, text in self.answers.items()}, "reason": reason}
            )
        [(label, text)] = self.answers.items()
        return json.dumps({"answer": label, "scores": dict.fromkeys(self.criteria, score(text)), "reason": reason})


def honest(score: Score, reason: str = "so") -> Callable[[str], Reply | str]:
    """A reviewer that scores every answer by a rule, in whatever ballot it is asked for."""

    def review(prompt: str) -> Reply | str:
        fenced = Fenced(prompt)
        if not fenced.is_one_digit:
            return fenced.ballot(score, reason)
        [text] = fenced.answers.values()
        return one_digit(score(text))

    return review


def one_digit(score: float) -> Reply:
    """A reply whose expected digit is `score`, which lies between 1 and 9."""
    low = math.floor(score)
    chances: Mapping[str, float] = {str(low): 1 - (score - low), str(low + 1): score - low}
    top = tuple((digit, math.log(chance)) for digit, chance in chances.items() if chance)
    return Reply(top[0][0], logprobs=(TokenLogprob(*top[0], top),))
