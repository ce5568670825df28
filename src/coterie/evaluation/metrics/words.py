"""The words of an answer, as question answering counts them.

Two readings. `official` is what the evaluators of SQuAD (1606.05250), CoQA (1808.07042) and QuAC (1808.07036) do,
to the letter: lower case, ASCII punctuation deleted, the words a, an and the deleted, split at white space.

`unicode` is the same on ASCII text, and behaves on any other: characters are folded (NFKC, case), so that composed and
full-width letters equal plain ones; punctuation of every script is deleted, and so are signs of mathematics and
currency, as ASCII's are, and characters that cannot be seen; and scripts written without spaces (Chinese, Japanese,
Thai, Lao, Burmese, Khmer) are read character by character, as MLQA (1910.07475) reads Chinese. Articles are English
alone. Emoji and other symbols are kept.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from typing import Literal

Reading = Literal["unicode", "official"]

ARTICLES = re.compile(r"\b(?:a|an|the)\b")

UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3100-\u312f\u31a0-\u31bf"  # bopomofo
    "]"
)
"""A character of a script that is written without spaces."""

DELETED = ("P", "Sc", "Sm", "Sk", "Cf")
"""What the beginnings of a deleted character's Unicode category can be. All of ASCII's punctuation is among them."""

_ASCII: Mapping[int, None] = dict.fromkeys(map(ord, string.punctuation))


class _Unseen(dict[int, int | None]):
    """A table for `str.translate` that learns each character when it meets it."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code)).startswith(DELETED) else code
        return self[code]


_UNICODE = _Unseen()


def words(text: str, reading: Reading = "unicode") -> list[str]:
    """The words that count of `text`, in their order; none for a text of punctuation and articles alone."""
    if reading == "official":
        return ARTICLES.sub(" ", text.lower().translate(_ASCII)).split()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return spaced(ARTICLES.sub(" ", folded.translate(_UNICODE))).split()


def spaced(text: str) -> str:
    """`text` with spaces around every character of a script that has none."""
    return UNSPACED.sub(r" \g<0> ", text)
