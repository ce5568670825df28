"""Contexts in chunks of whole sentences, as AlignScore reads them (2305.16739, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.evaluation.metrics.sentences import sentences
from coterie.evaluation.metrics.words import spaced


def chunks(text: str, words: int) -> list[str]:
    """`text` in chunks of about `words` words, each of whole sentences, one at least.

    As in the authors' code: the number of chunks that the words call for divides the sentences, rounded down, so that
    all chunks but the last have equally many of them. Words stand between white space; a character of a script
    without spaces is one. A single sentence that is too long stays whole.
    """
    found: Sequence[str] = sentences(text) or [""]
    wanted = len(spaced(text).split()) // words + 1
    each = max(1, len(found) // wanted)
    return [" ".join(found[start : start + each]) for start in range(0, len(found), each)]
