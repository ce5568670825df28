"""One model file opened for token-level work: its vocabulary, and contexts that remember what they have read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coterie.errors import ConfigError, MemberError
from coterie.members.llama_cpp.context import CHUNK_TOKENS, Context, Stopped, never
from coterie.members.llama_cpp.library import Library, library
from coterie.members.llama_cpp.vocabulary import NativeVocabulary
from coterie.types import FailureKind

MOST_CONTEXTS = 16
"""Open at once in one engine; each costs the memory of a KV cache."""


class NativeModel:
    """Loaded weights and a pool of contexts. Threads may share it: each takes a context of its own."""

    def __init__(self, bound: Library, handle: int, context_tokens: int, keep: int) -> None:
        self._library = bound
        self._handle = handle
        self._context_tokens = context_tokens
        self._keep = keep
        self._lock = threading.Lock()
        self._idle: list[Context] = []
        """Least recently used first."""
        self._lent = 0
        template = bound.llama_model_chat_template(handle, None)
        self.vocabulary = NativeVocabulary(
            bound, bound.llama_model_get_vocab(handle), None if template is None else template.decode()
        )

    @contextmanager
    def context(self, tokens: Sequence[int] = ()) -> Iterator[Context]:
        """A context for one user at a time: of those at rest, the one that holds most of `tokens` already.

        Raises `MemberError` (worth a retry) when too many are in use.
        """
        lent = self._lend(tokens)
        try:
            yield lent
        finally:
            self._take_back(lent)

    def score(self, prompt: Sequence[int], texts: Sequence[Sequence[int]], stopped: Stopped = never) -> list[float]:
        """Log-probability (nats) of each text's tokens after `prompt`, which is read once for all of them."""
        with self.context(prompt) as context:
            context.resume(prompt, stopped)
            return [context.score(text, stopped) for text in texts]

    def close(self) -> None:
        """Give everything back. Contexts must have been returned."""
        with self._lock:
            for context in self._idle:
                context.close()
            self._idle.clear()
            self._library.llama_model_free(self._handle)

    # ---- the pool -----------------------------------------------------------------------------

    def _lend(self, tokens: Sequence[int]) -> Context:
        with self._lock:
            if self._idle:
                best = max(self._idle, key=lambda context: context.shared_with(tokens))
                # What shares nothing is as good as any: then the one that was used longest ago gives way.
                best = best if best.shared_with(tokens) or self._full() else self._idle[0]
                if best.shared_with(tokens) or self._full():
                    self._idle.remove(best)
                    self._lent += 1
                    return best
            if self._lent >= MOST_CONTEXTS:
                raise MemberError(
                    f"{self._lent} token-level sessions are open on this model already: close one first",
                    FailureKind.UNAVAILABLE,
                    retryable=True,
                )
            self._lent += 1
        try:
            return self._new_context()
        except BaseException:
            with self._lock:
                self._lent -= 1
            raise

    def _take_back(self, context: Context) -> None:
        with self._lock:
            self._lent -= 1
            self._idle.append(context)
            surplus = self._idle.pop(0) if len(self._idle) > self._keep else None
        if surplus is not None:
            surplus.close()

    def _full(self) -> bool:
        """True when another context would be one more than are kept at rest."""
        return self._lent + len(self._idle) >= self._keep

    def _new_context(self) -> Context:
        bound = self._library
        handle = bound.llama_init_from_model(
            self._handle, bound.context_params(self._context_tokens, min(CHUNK_TOKENS, self._context_tokens))
        )
        if not handle:
            raise MemberError(
                f"llama.cpp could not make a context of {self._context_tokens} tokens: is there memory for it?",
                FailureKind.UNAVAILABLE,
            )
        return Context(bound, handle, self.vocabulary.size, self._context_tokens)


def load(path: Path, context_tokens: int, keep: int) -> NativeModel:
    """The model in `path`, after it has passed the self-test. At rest it keeps `keep` contexts.

    Raises `ConfigError` when the library is not the one bound here, or does not do what it should.
    """
    from coterie.members.llama_cpp import selftest

    bound = library()
    handle = bound.llama_model_load_from_file(str(path).encode(), bound.llama_model_default_params())
    if not handle:
        raise ConfigError(f"llama.cpp could not load {str(path)!r} for token-level work")
    model = NativeModel(bound, handle, context_tokens, keep)
    try:
        selftest.check(model)
    except BaseException:
        model.close()
        raise
    return model
