"""Texts as token ids, by a ``tokenizer.json``. What spells one of its special pieces is read as plain text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.encoders.reading import CHARACTERS_A_TOKEN, Keep, shortened
from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Words:
    """A tokenizer. Raises `ConfigError` for a file that is none, `MissingExtra`."""

    def __init__(self, path: Path, max_tokens: int, keep: Keep, *, framed: bool) -> None:
        """A text has at most `max_tokens`, with what the tokenizer puts around it where it is `framed`."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("a local encoder", "routers", "tokenizers") from error
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more special
            raise ConfigError(f"{str(path)!r} is no tokenizer that can be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._before, self._after = self._frame() if framed else ((), ())
        self._tokenizer.encode_special_tokens = True
        self._room = max_tokens - len(self._before) - len(self._after)
        if self._room < 1:
            raise ConfigError(f"max_tokens={max_tokens!r} leaves no room for a text")
        self._keep = keep

    @property
    def size(self) -> int:
        """How many different ids there are."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def ids(self, text: str) -> NDArray[np.int64]:
        """The text's ids, framed; none for a text without a word."""
        import numpy as np

        read = shortened(text, self._room * CHARACTERS_A_TOKEN, self._keep)
        ids = self._tokenizer.encode(read, add_special_tokens=False).ids
        if len(ids) > self._room:
            ids = ids[: self._room] if self._keep == "start" else ids[-self._room :]
        return np.array([*self._before, *ids, *self._after] if ids else [], dtype=np.int64)

    def _frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What stands before and after every text."""
        framed = self._tokenizer.encode("a")
        own = [n for n, special in enumerate(framed.special_tokens_mask) if not special]
        return tuple(framed.ids[: own[0]]), tuple(framed.ids[own[-1] + 1 :])
