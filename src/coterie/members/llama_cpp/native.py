"""One model file opened for token-level work: its vocabulary, and contexts that remember what they have read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coterie.errors import ConfigError, MemberError
from coterie.members.llama_cpp.adapter import Adapter
from coterie.members.llama_cpp.context import CHUNK_TOKENS, Context, Stopped, never
from coterie.members.llama_cpp.library import Library, library
from coterie.members.llama_cpp.vocabulary import NativeVocabulary
from coterie.types import FailureKind

MOST_CONTEXTS = 16
"""Open at once in one engine; each costs the memory of a KV cache."""


@dataclass(frozen=True)
class Likelihoods:
    """What scoring some texts gave."""

    logprobs: tuple[float, ...]
    """Summed over each text's tokens, in nats."""
    cached: int
    """Tokens of the prompt that had been read before."""


@dataclass(frozen=True)
class LoadedAdapter:
    """A LoRA adapter on one loaded model, whose weights stay what they are: contexts add it as they compute."""

    handle: int
    scale: float


class NativeModel:
    """Loaded weights and a pool of contexts. Threads may share it: each takes a context of its own."""

    def __init__(
        self, bound: Library, handle: int, context_tokens: int, keep: int, adapter: LoadedAdapter | None = None
    ) -> None:
        self.adapter = adapter
        """What every context computes with."""
        self._library = bound
        self._handle = handle
        self._context_tokens = context_tokens
        self._keep = keep
        self._lock = threading.Lock()
        self._idle: list[Context] = []
        """Least recently used first."""
        self._lent: list[Context] = []
        template = bound.llama_model_chat_template(handle, None)
        self.vocabulary = NativeVocabulary(
            bound, bound.llama_model_get_vocab(handle), None if template is None else template.decode()
        )

    @contextmanager
    def context(self, tokens: Sequence[int] = ()) -> Iterator[Context]:
        """A context for one user at a time: of those at rest, the one that holds most of `tokens` already.

        Raises `MemberError` (worth a retry) when too many are in use.
        """
        lent = self.lend(tokens)
        try:
            yield lent
        finally:
            self.take_back(lent)

    def score(self, prompt: Sequence[int], texts: Sequence[Sequence[int]], stopped: Stopped = never) -> Likelihoods:
        """Log-probability (nats) of each text's tokens after `prompt`, which is read once for all of them."""
        with self.context(prompt) as context:
            cached = context.resume(prompt, stopped)
            return Likelihoods(tuple(context.score(text, stopped) for text in texts), cached)

    def lend(self, tokens: Sequence[int]) -> Context:
        """What `context` yields, for users whose time is no block: to be given to `take_back`."""
        with self._lock:
            known = self._of_use(tokens)
            if known is not None:
                self._idle.remove(known)
                self._lent.append(known)
                return known
            if len(self._lent) >= MOST_CONTEXTS:
                raise MemberError(
                    f"{len(self._lent)} token-level sessions are open on this model already: close one first",
                    FailureKind.UNAVAILABLE,
                    retryable=True,
                )
            new = self._new_context()
            self._lent.append(new)
            return new

    def take_back(self, context: Context) -> None:
        """Afterwards the next user may have `context`, with what it holds."""
        with self._lock:
            if context not in self._lent:
                return  # the model was closed under a session that was still open
            self._lent.remove(context)
            self._idle.append(context)
            surplus = self._idle.pop(0) if len(self._idle) > self._keep else None
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """Give everything back. No context may be used afterwards."""
        with self._lock:
            for context in (*self._idle, *self._lent):
                context.close()
            self._idle.clear()
            self._lent.clear()
            if self.adapter is not None:
                self._library.llama_adapter_lora_free(self.adapter.handle)
            self._library.llama_model_free(self._handle)

    def _of_use(self, tokens: Sequence[int]) -> Context | None:
        """The context at rest that knows most of `tokens`, or ``None`` where a new one is better.

        That is so while there is room for one and the best would have to forget most of what it knows.
        """
        if not self._idle:
            return None
        best = max(self._idle, key=lambda context: (context.shared_with(tokens), -len(context.tokens)))
        alike = 2 * best.shared_with(tokens) >= min(len(tokens), len(best.tokens))
        room = len(self._lent) + len(self._idle) < self._keep
        return best if alike or not room else None

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
        context = Context(bound, handle, self.vocabulary.size, self._context_tokens)
        try:
            if self.adapter is not None:
                context.adapt(self.adapter.handle, self.adapter.scale)
        except MemberError:
            context.close()
            raise
        return context


def load(path: Path, context_tokens: int, keep: int, adapter: Adapter | None = None) -> NativeModel:
    """The model in `path`, with `adapter`, after it has passed the self-test. At rest it keeps `keep` contexts.

    Raises `ConfigError` when the library is not the one bound here, or does not do what it should.
    """
    from coterie.members.llama_cpp import selftest

    bound = library()
    handle = bound.llama_model_load_from_file(str(path).encode(), bound.model_params())
    if not handle:
        raise ConfigError(f"llama.cpp could not load {str(path)!r} for token-level work")
    try:
        loaded = None if adapter is None else _load_adapter(bound, handle, adapter)
    except BaseException:
        bound.llama_model_free(handle)
        raise
    model = NativeModel(bound, handle, context_tokens, keep, loaded)
    try:
        selftest.check(model)
    except BaseException:
        model.close()
        raise
    return model


def _load_adapter(bound: Library, model: int, adapter: Adapter) -> LoadedAdapter:
    """`adapter` on the loaded `model`, which frees it in the end unless somebody does before."""
    handle = bound.llama_adapter_lora_init(model, adapter.path.encode())
    if not handle:
        raise ConfigError(f"llama.cpp could not load the adapter {adapter.path!r} for token-level work")
    if bound.llama_adapter_get_alora_n_invocation_tokens(handle):
        raise ConfigError(
            f"the adapter {adapter.path!r} is an activated LoRA, which begins at a phrase inside the text: "
            "the token-level functions apply an adapter to all of it"
        )
    return LoadedAdapter(handle, adapter.scale)
