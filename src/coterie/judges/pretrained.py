"""Published Hugging Face models as judges read with them: weights loaded whole or refused, and their tokenizers.

What a model's own special pieces spell is left out of texts, so that no text ends a sequence or masks a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from coterie.errors import ConfigError
from coterie.judges.keeping import Keep
from coterie.judges.pair_ranker.segments import CHARACTERS_A_TOKEN, KEPT_TEXTS
from coterie.quiet import quiet

if TYPE_CHECKING:
    from coterie.judges.placement import Placement

Task = Literal["MaskedLM", "SequenceClassification"]


def model(task: Task, name: str, place: Placement, cache_folder: str | None = None, **settings: Any) -> Any:
    """The model in a folder or under a hub name, ready to infer. `settings` win over its configuration.

    Raises `ConfigError` where it cannot be had, or lacks weights: transformers would draw those at random.
    """
    import transformers

    family = getattr(transformers, f"AutoModelFor{task}")
    try:
        with quiet():
            loaded, report = family.from_pretrained(
                name, cache_dir=cache_folder, dtype=place.dtype, output_loading_info=True, **settings
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name!r} cannot be loaded for {task}: {error}") from error
    if report["missing_keys"]:
        raise ConfigError(f"{name!r} is no model for {task}: its weights lack {sorted(report['missing_keys'])[:5]!r}")
    return loaded.to(place.device).eval()


def most_tokens(loaded: Any, place: Placement) -> int | None:
    """How long a row of this model may be, padding included; ``None`` where it counts no places."""
    embeddings = getattr(getattr(loaded, "base_model", loaded), "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    if table is None:
        return None
    # RoBERTa and its kin count places from behind the padding's.
    before = 0 if table.padding_idx is None else table.padding_idx + 1
    most = int(table.num_embeddings) - before
    return most - most % place.pad_to


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around one text, or two."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    typed: bool
    """True when the second text has a token type of its own."""

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class Words:
    """The tokenizer in a folder or under a hub name. Texts are tokenised once each. Raises `ConfigError`."""

    def __init__(self, name: str, cache_folder: str | None = None, keep: Keep = "start") -> None:
        from transformers import AutoTokenizer

        try:
            with quiet():
                loaded: Any = AutoTokenizer.from_pretrained(name, cache_dir=cache_folder, use_fast=True)
            self._tokenizer: Any = loaded.backend_tokenizer
        except (OSError, ValueError, ImportError, AttributeError) as error:
            raise ConfigError(f"{name!r} has no tokenizer that can be read: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._keep = keep
        self.first: str = loaded.bos_token or ""
        """The piece that every text begins with, where there is one."""
        self.mask: int | None = loaded.mask_token_id
        special = dict(zip(loaded.all_special_ids, loaded.all_special_tokens, strict=True))
        added = self._tokenizer.get_added_tokens_decoder()
        special |= {id_: str(token.content) for id_, token in added.items() if token.special}
        special.pop(loaded.unk_token_id, None)  # which every unknown word is
        self._special: Mapping[int, str] = special
        self._tokens = lru_cache(KEPT_TEXTS)(self._tokenised)

    def ids(self, text: str, most: int) -> tuple[tuple[int, ...], bool]:
        """The text's ids alone, at most `most`, and whether it was cut."""
        shorter = self._readable(text, most)
        ids = self._tokens(shorter)
        if len(ids) <= most:
            return ids, len(shorter) < len(text)
        return (ids[:most] if self._keep == "start" else ids[len(ids) - most :]), True

    def text(self, text: str, most: int) -> tuple[str, bool]:
        """As much of the text as `most` tokens hold, without special pieces, and whether it was cut."""
        shorter = self._readable(text, most)
        cut = len(shorter) < len(text)
        plain = self._plain(shorter)
        places = self._tokenizer.encode(plain, add_special_tokens=False).offsets
        if len(places) <= most:
            return plain, cut
        if self._keep == "start":
            return plain[: places[most - 1][1] if most else 0], True
        return plain[places[-most][0] :] if most else "", True

    def whole(self, text: str, *, framed: bool) -> tuple[int, ...]:
        """Ids of a text that is ours: special pieces in it are meant."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=framed).ids)

    def frame(self, texts: Literal[1, 2]) -> Frame:
        """What stands around one text, or around and between two."""
        framed = self._tokenizer.encode(*["a"] * texts)
        of_text = framed.sequence_ids
        ends = [(of_text.index(n), len(of_text) - of_text[::-1].index(n)) for n in range(texts)]
        (start, _), (_, end) = ends[0], ends[-1]
        between = framed.ids[ends[0][1] : ends[-1][0]] if texts == 2 else ()
        return Frame(
            tuple(framed.ids[:start]), tuple(between), tuple(framed.ids[end:]), framed.type_ids[ends[-1][0]] > 0
        )

    def _readable(self, text: str, most: int) -> str:
        longest = max(1, most) * CHARACTERS_A_TOKEN
        if len(text) <= longest:
            return text
        return text[:longest] if self._keep == "start" else text[-longest:]

    def _plain(self, text: str) -> str:
        for spelled in self._special.values():
            text = text.replace(spelled, " ")
        return text

    def _tokenised(self, text: str) -> tuple[int, ...]:
        # By id, because a normaliser can make a special piece of what was none.
        ids: Sequence[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tuple(id_ for id_ in ids if id_ not in self._special)
