"""One text of a ranker's row: [CLS], the piece that marks what it is, the text's ids, [SEP].

Every ranker that this library trains reads such segments, as LLM-Blender's do: a pair ranker three in a row,
a pointwise one two, SimCLS one at a time. Marks and separators that a text itself spells are words like others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.judges.pair_ranker.checkpoint import PREFIXES, Checkpoint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SOURCE, LEFT, RIGHT, CANDIDATE = range(len(PREFIXES))
"""What a segment is: a place in `PREFIXES`. One candidate alone is neither left nor right."""

CHARACTERS_A_TOKEN = 100
"""More than any token stands for: what lies behind so many characters a token cannot be read anyway."""

KEPT_TEXTS = 20_000
"""Texts whose tokens are remembered."""


class Segments:
    """Tokenises texts, once each, and cuts those that are too long at the end that the checkpoint says."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._keep = checkpoint.keep
        self._longest = (checkpoint.source_tokens + 2 * checkpoint.candidate_tokens) * CHARACTERS_A_TOKEN
        self._plain, self._marking = _tokenizers(checkpoint)
        self._separator = _separator(self._plain)
        self.marks = tuple(_id(self._marking, prefix) for prefix in PREFIXES)
        """Ids of the marking pieces, in the order of `PREFIXES`."""
        self.vocabulary = self._marking.get_vocab_size()
        self._segment = lru_cache(KEPT_TEXTS)(self._tokenised)

    def fitted(self, place: int, text: str, most: int) -> tuple[tuple[int, ...], bool]:
        """A segment of at most `most` ids, and whether the text was cut: [CLS], mark and [SEP] stay whatever goes."""
        if most < 3:
            raise ConfigError(f"no room for a segment in {most} tokens: raise source_maxlength or candidate_maxlength")
        read = text[: self._longest] if self._keep == "start" else text[-self._longest :]
        ids = self._segment(place, read)
        if len(ids) <= most:
            return ids, len(read) < len(text)
        if self._keep == "start":
            return (*ids[: most - 1], ids[-1]), True
        return (*ids[:2], *ids[len(ids) - (most - 2) :]), True

    def _tokenised(self, place: int, text: str) -> tuple[int, ...]:
        words = text.replace(self._separator, " ")
        ids = self._marking.encode(PREFIXES[place] + words).ids
        if sum(id_ in self.marks for id_ in ids) != 1:
            # The text itself spells a mark, which would make a second one: read it without knowing marks.
            plain = self._plain.encode(words).ids
            ids = [plain[0], self.marks[place], *plain[1:]]
        return tuple(ids)


def _tokenizers(checkpoint: Checkpoint) -> tuple[Tokenizer, Tokenizer]:
    """The same tokenizer twice: without the marking pieces, and with them as ordinary added tokens."""
    from tokenizers import Tokenizer

    specification = json.loads(checkpoint.tokenizer_json())
    specification["truncation"] = specification["padding"] = None
    known = [token for token in specification["added_tokens"] if token["content"] in PREFIXES]
    specification["added_tokens"] = [t for t in specification["added_tokens"] if t["content"] not in PREFIXES]
    plain = Tokenizer.from_str(json.dumps(specification))
    specification["added_tokens"] += known
    marking = Tokenizer.from_str(json.dumps(specification))
    if not known:
        marking.add_tokens(list(PREFIXES))
    return plain, marking


def _separator(tokenizer: Tokenizer) -> str:
    """What ends a segment: the last token that the tokenizer itself adds."""
    ids: Sequence[int] = tokenizer.encode("").ids
    if len(ids) < 2:
        raise ConfigError("this tokenizer adds no [CLS] and [SEP] of its own; a pair ranker's does")
    return str(tokenizer.id_to_token(ids[-1]))


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ConfigError(f"the tokenizer does not know {token!r}")
    return int(found)
