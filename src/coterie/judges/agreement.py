"""Agreement: a candidate is as good as the share of candidates that say the same."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from coterie.protocols import Run
from coterie.types import Candidate, Judgement, Request

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MINUS = re.compile(r"(?<!\w)[-\u2010-\u2013](?=\.?\d)")


class _Plain(dict[int, str]):
    """Each character as itself, or as a space; looked up once, because answers can be megabytes."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = " " if unicodedata.category(character)[0] in "PZC" else character
        return self[code]


_PLAIN = _Plain()


@dataclass(frozen=True)
class Agreement:
    """Majority voting as a judge: the share of candidates whose normalised text is equal.

    Needs: nothing. Costs: no call. Prefer a peer review where answers are longer than a phrase:
    two sentences that mean the same are different votes here.
    """

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:  # noqa: ARG002
        keys = {candidate.id: normal_form(candidate.text) for candidate in candidates}
        votes = Counter(keys.values())
        shares = tuple(votes[keys[c.id]] / len(candidates) for c in candidates)
        return [Judgement("agreement", tuple(keys), shares)]


def normal_form(text: str) -> str:
    """`text` without what does not change an answer: case, punctuation, articles, spacing, Unicode variants.

    As SQuAD's evaluation normalises, for any script; but the sign of a number stays, since -1 is not 1.
    Text of nothing but punctuation keeps it.
    """
    folded = _MINUS.sub("\u2212", unicodedata.normalize("NFKC", text).casefold())
    words = _ARTICLES.sub(" ", folded.translate(_PLAIN)).split()
    return " ".join(words) if words else " ".join(folded.split())
