"""Queries as rows of a model's token ids, and the batches in which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tokenizers import Encoding

Keep = Literal["start", "end"]
"""Which end of a text that is too long is read."""

Ids = tuple[int, ...]

CHARACTERS_A_TOKEN = 100
"""More than any token stands for: what lies behind so many characters a token cannot be read anyway."""


class Reader:
    """Turns texts into rows of at most `max_tokens` ids, what the tokenizer puts around a text included.

    What a special piece spells is plain text in a query, so that no query ends its own row.
    """

    def __init__(self, tokenizer: Any, max_tokens: int, keep: Keep = "start") -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._before, self._after = _frame(self._tokenizer)
        self._room = max(1, max_tokens - len(self._before) - len(self._after))
        self._keep = keep

    def rows(self, texts: Sequence[str], prefix: str = "") -> list[Ids]:
        """The ids of `prefix` and each text, read as one; where there is not room for all, the text is cut."""
        whole = [prefix + self._readable(text) for text in texts]
        return [
            self._row(found, len(prefix)) for found in self._tokenizer.encode_batch(whole, add_special_tokens=False)
        ]

    def _readable(self, text: str) -> str:
        longest = self._room * CHARACTERS_A_TOKEN
        if len(text) <= longest:
            return text
        return text[:longest] if self._keep == "start" else text[-longest:]

    def _row(self, found: Encoding, n_prefix: int) -> Ids:
        ids = tuple(found.ids)
        if len(ids) > self._room:
            ids = ids[: self._room] if self._keep == "start" else self._end(found, n_prefix)
        return (*self._before, *ids, *self._after)

    def _end(self, found: Encoding, n_prefix: int) -> Ids:
        """The prefix's ids, and as many of the last ones as there is room for."""
        first = sum(end <= n_prefix for _, end in found.offsets) if n_prefix else 0
        first = min(first, self._room - 1)
        return (*found.ids[:first], *found.ids[len(found.ids) - self._room + first :])


def _frame(tokenizer: Any) -> tuple[Ids, Ids]:
    """What stands before a text, and what behind it."""
    framed = tokenizer.encode("a")
    places = [place for place, of in enumerate(framed.sequence_ids) if of is not None]
    return tuple(framed.ids[: places[0]]), tuple(framed.ids[places[-1] + 1 :])


def batches(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Places in `lengths`, longest first, in batches of at most `budget_tokens`, padding included; one row at least."""
    made: list[list[int]] = []
    room = 0
    for place in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if room == 0:
            made.append([])
            room = max(1, budget_tokens // max(1, lengths[place]))
        made[-1].append(place)
        room -= 1
    return made
