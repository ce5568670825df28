"""From texts to the token ids a pair ranker reads, exactly as the published rankers were trained on.

A pair is three segments, each with its own [CLS] and [SEP] and a piece that marks it:

    [CLS] <|source|> x [SEP] [CLS] <|candidate1|> y_i [SEP] [CLS] <|candidate2|> y_j [SEP]

Long texts are cut by the rule of one example at a time, so that neighbours in a batch never matter:
the source to `source_tokens`, each candidate to `candidate_tokens` and half of what the source left over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coterie.errors import ConfigError
from coterie.judges.engine import Row
from coterie.judges.pair_ranker.checkpoint import PREFIXES, Checkpoint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Keep = Literal["start", "end"]
"""Which end of a text that is too long is kept. The published rankers were trained with its start."""

SOURCE, LEFT, RIGHT = 0, 1, 2

CHARACTERS_A_TOKEN = 100
"""More than any token stands for: what lies behind so many characters a token cannot be read anyway."""

KEPT_TEXTS = 20_000
"""Texts whose tokens are remembered."""


@dataclass(frozen=True)
class Pair:
    """Two candidates for one source, in the order in which they are read."""

    source: str
    left: str
    right: str


class PairEncoder:
    """Tokenises texts once each, and puts pairs together."""

    def __init__(self, checkpoint: Checkpoint, keep: Keep = "start") -> None:
        self._keep = keep
        self.source_tokens = checkpoint.source_tokens
        self.candidate_tokens = checkpoint.candidate_tokens
        self._plain, self._marking = _tokenizers(checkpoint)
        self._separator = _separator(self._plain)
        self.marks = tuple(_id(self._marking, prefix) for prefix in PREFIXES)
        self.vocabulary = self._marking.get_vocab_size()
        self._segment = lru_cache(KEPT_TEXTS)(self._tokenised)

    def row(self, pair: Pair) -> Row:
        """The ids of one pair."""
        source, cut = self._fitted(SOURCE, pair.source, self.source_tokens)
        room = self.candidate_tokens + (self.source_tokens - len(source)) // 2
        left, cut_left = self._fitted(LEFT, pair.left, room)
        right, cut_right = self._fitted(RIGHT, pair.right, room)
        marks = (1, len(source) + 1, len(source) + len(left) + 1)
        return Row(source + left + right, marks, cut or cut_left or cut_right)

    def _fitted(self, place: int, text: str, most: int) -> tuple[tuple[int, ...], bool]:
        """A segment of at most `most` ids: its [CLS], mark and [SEP] stay whatever goes."""
        if most < 3:
            raise ConfigError(f"no room for a segment in {most} tokens: raise source_maxlength or candidate_maxlength")
        longest = (self.source_tokens + 2 * self.candidate_tokens) * CHARACTERS_A_TOKEN
        if len(text) > longest:
            text = text[:longest] if self._keep == "start" else text[-longest:]
        ids = self._segment(place, text)
        if len(ids) <= most:
            return ids, False
        if self._keep == "start":
            return (*ids[: most - 1], ids[-1]), True
        return (*ids[:2], *ids[len(ids) - (most - 2) :]), True

    def _tokenised(self, place: int, text: str) -> tuple[int, ...]:
        """[CLS], the mark, the text's ids, [SEP]. Marks and separators in the text are words like others."""
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

    specification = json.loads(_specification(checkpoint))
    specification["truncation"] = specification["padding"] = None
    known = [token for token in specification["added_tokens"] if token["content"] in PREFIXES]
    specification["added_tokens"] = [t for t in specification["added_tokens"] if t["content"] not in PREFIXES]
    plain = Tokenizer.from_str(json.dumps(specification))
    specification["added_tokens"] += known
    marking = Tokenizer.from_str(json.dumps(specification))
    if not known:
        marking.add_tokens(list(PREFIXES))
    return plain, marking


def _specification(checkpoint: Checkpoint) -> str:
    place = Path(checkpoint.tokenizer)
    file = place / "tokenizer.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    from transformers import AutoTokenizer

    converted = AutoTokenizer.from_pretrained(place, use_fast=True)
    specification: str = converted.backend_tokenizer.to_str()
    return specification


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
