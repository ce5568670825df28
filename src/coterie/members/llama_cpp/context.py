"""One text in one KV cache: read more, forget the end, tell what comes next and how likely a text is.

Everything here is synchronous, runs on worker threads and leaves the context usable whatever
happens: a call that is stopped stops between chunks, and the context then holds what it has read.
"""

from __future__ import annotations

import ctypes as c
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, cast

from coterie.errors import MemberError
from coterie.members.llama_cpp.library import Batch, Handle, Library
from coterie.types import FailureKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = NDArray[np.float32]

CHUNK_TOKENS = 32
"""Evaluated at once. More is hardly quicker on a processor, and a stopped call waits for one chunk."""

LOGIT_ROWS_BYTES = 32 << 20
"""Memory for the rows of logits of one chunk, which is what a large vocabulary makes large."""

Stopped = Callable[[], bool]
"""True when nobody waits for the result any more."""


def never() -> bool:
    """The `Stopped` of a call that runs to its end."""
    return False


class Context:
    """A KV cache of `capacity` tokens and what it holds. Calls from several threads take turns."""

    def __init__(self, library: Library, handle: int, vocabulary_size: int, capacity: int) -> None:
        self._library = library
        self._handle = handle
        self._memory = library.llama_get_memory(handle)
        self._vocabulary_size = vocabulary_size
        self._scored_at_once = max(1, min(CHUNK_TOKENS, LOGIT_ROWS_BYTES // (4 * vocabulary_size)))
        self._lock = threading.RLock()
        self._tokens: list[int] = []
        self._last: Row | None = None
        """Logits after the last token; ``None`` where they have to be computed again."""
        self._aligned = 0
        """How many leading tokens were read by `resume`, in whole chunks."""
        self._untouched = False
        """True while the cache is just as `resume` left it."""
        self.capacity = capacity

    @property
    def tokens(self) -> tuple[int, ...]:
        """What the cache holds."""
        return tuple(self._tokens)

    def shared_with(self, tokens: Sequence[int]) -> int:
        """Length of the longest common beginning of `tokens` and what the cache holds."""
        length = 0
        for held, wanted in zip(self._tokens, tokens, strict=False):
            if held != wanted:
                break
            length += 1
        return length

    def resume(self, tokens: Sequence[int], stopped: Stopped = never) -> int:
        """Afterwards the cache holds exactly `tokens`. Returns how many of them it held already.

        Rounding depends on what is evaluated together (0.01 nats a token in some files). So that a score does not
        depend on what was asked before, only whole chunks are kept, or everything where all of it is the same.
        """
        with self._lock:
            self._fits(len(tokens))
            shared = self.shared_with(tokens)
            if self._untouched and shared == len(tokens) == len(self._tokens):
                return shared
            kept = min(self._aligned, shared // CHUNK_TOKENS * CHUNK_TOKENS)
            self.rollback(kept)
            self.feed(tokens[kept:], stopped)
            self._aligned, self._untouched = len(tokens) // CHUNK_TOKENS * CHUNK_TOKENS, True
            return kept

    def feed(self, tokens: Sequence[int], stopped: Stopped = never) -> None:
        """Read `tokens`. Raises `MemberError` when they do not fit, and then nothing has changed."""
        with self._lock:
            self._fits(len(self._tokens) + len(tokens))
            for start in range(0, len(tokens), CHUNK_TOKENS):
                chunk = tokens[start : start + CHUNK_TOKENS]
                last_one = start + CHUNK_TOKENS >= len(tokens)
                self._evaluate(chunk, range(len(chunk) - 1, len(chunk)) if last_one else range(0), stopped)
                if last_one:
                    self._last = self._row(len(chunk) - 1).copy()

    def rollback(self, length: int) -> None:
        """Forget everything after the first `length` tokens. Raises `MemberError` when it holds fewer."""
        with self._lock:
            if not 0 <= length <= len(self._tokens):
                raise MemberError(
                    f"cannot roll back to {length} tokens: the session holds {len(self._tokens)}",
                    FailureKind.UNAVAILABLE,
                )
            if length == len(self._tokens):
                return
            kept = self._tokens[:length]
            self._last, self._untouched = None, False
            self._aligned = min(self._aligned, length // CHUNK_TOKENS * CHUNK_TOKENS)
            if self._library.llama_memory_seq_rm(self._memory, 0, length, -1) and self._whole():
                self._tokens = kept
                return
            # A recurrent model, or a sliding window that has moved on, cannot forget: it reads again.
            self._forget()
            self.feed(kept)

    def logits(self) -> Row:
        """Logits of every token of the vocabulary at the next position."""
        with self._lock:
            if not self._tokens:
                raise MemberError("nothing was fed yet, so nothing can follow it", FailureKind.UNAVAILABLE)
            if self._last is None:
                last = self._tokens[-1]
                self.rollback(len(self._tokens) - 1)
                self.feed([last])
            assert self._last is not None  # noqa: S101  (feed sets it)
            return self._last

    def logprobs(self) -> Row:
        """Log-probabilities (nats) of every token of the vocabulary at the next position."""
        import numpy as np

        row = self.logits().astype(np.float64)
        row -= row.max()
        return cast("Row", (row - np.log(np.exp(row).sum())).astype(np.float32))

    def score(self, tokens: Sequence[int], stopped: Stopped = never) -> float:
        """Log-probability (nats) of `tokens` after what the cache holds, which it holds again afterwards."""
        with self._lock:
            before, length, untouched = self.logits(), len(self._tokens), self._untouched
            self._fits(length + len(tokens))
            total = float(_picked(before[None, :], tokens[:1]))
            try:
                # The last token's own successors are of no interest, so it is never evaluated.
                for start in range(0, len(tokens) - 1, self._scored_at_once):
                    chunk = tokens[start : min(start + self._scored_at_once, len(tokens) - 1)]
                    self._evaluate(chunk, range(len(chunk)), stopped)
                    rows = c.cast(self._pointer(0), c.POINTER(c.c_float * (len(chunk) * self._vocabulary_size)))
                    total += _picked(_array(rows, len(chunk)), tokens[start + 1 : start + 1 + len(chunk)])
            finally:
                if len(self._tokens) >= length:
                    self.rollback(length)
                    self._last, self._untouched = before, untouched
            return total

    def adapt(self, adapter: int | None, scale: float = 1.0) -> None:
        """Afterwards the model computes here with `scale` times the loaded LoRA adapter, or without any.

        The cache is empty then: what was read with other weights is of no use.
        """
        with self._lock:
            self._forget()
            count = 0 if adapter is None else 1
            status = self._library.llama_set_adapters_lora(
                self._handle, (Handle * 1)(adapter), count, (c.c_float * 1)(scale)
            )
            if status != 0:
                raise MemberError(
                    f"llama.cpp could not apply the adapter at scale {scale!r} (status {status})", FailureKind.INTERNAL
                )

    def close(self) -> None:
        """Give the memory back; nothing may be called afterwards."""
        with self._lock:
            self._library.llama_free(self._handle)

    # ---- below the surface --------------------------------------------------------------------

    def _fits(self, length: int) -> None:
        if length > self.capacity:
            raise MemberError(
                f"{length} tokens do not fit into the context of {self.capacity} tokens", FailureKind.UNAVAILABLE
            )

    def _whole(self) -> bool:
        """True while the cache still holds the beginning of the text."""
        return int(self._library.llama_memory_seq_pos_min(self._memory, 0)) <= 0

    def _forget(self) -> None:
        self._library.llama_memory_clear(self._memory, True)
        self._tokens, self._last = [], None
        self._aligned, self._untouched = 0, False

    def _evaluate(self, tokens: Sequence[int], wanted: range, stopped: Stopped) -> None:
        """Evaluate one chunk; the library then has the logits after the tokens in `wanted`."""
        if stopped():
            raise CancelledError
        count, start = len(tokens), len(self._tokens)
        sequence = c.pointer(c.c_int32(0))
        batch = Batch(
            count,
            (c.c_int32 * count)(*tokens),
            None,
            (c.c_int32 * count)(*range(start, start + count)),
            (c.c_int32 * count)(*([1] * count)),
            (c.POINTER(c.c_int32) * count)(*([sequence] * count)),
            (c.c_int8 * count)(*(index in wanted for index in range(count))),
        )
        self._last, self._untouched = None, False
        status = self._library.llama_decode(self._handle, batch)
        if status != 0:
            self._forget()  # what the cache holds now is anybody's guess
            raise MemberError(f"llama.cpp could not evaluate {count} tokens (status {status})", FailureKind.INTERNAL)
        self._tokens.extend(tokens)

    def _pointer(self, index: int) -> Any:
        return self._library.llama_get_logits_ith(self._handle, index)

    def _row(self, index: int) -> Row:
        import numpy as np

        return np.ctypeslib.as_array(self._pointer(index), (self._vocabulary_size,))


def _array(rows: Any, count: int) -> Row:
    """A view of `count` rows that stand one after another in the library's memory."""
    import numpy as np

    flat: Row = np.ctypeslib.as_array(rows.contents)
    return flat.reshape(count, -1)


def _picked(logits: Row, tokens: Sequence[int]) -> float:
    """The summed log-probability of one token in each row of `logits`."""
    import numpy as np

    peaks = logits.max(axis=1)
    masses = np.exp(logits - peaks[:, None]).sum(axis=1, dtype=np.float64)
    chosen = logits[np.arange(len(tokens)), list(tokens)]
    return float((chosen - peaks - np.log(masses)).sum(dtype=np.float64))
