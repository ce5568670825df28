"""Loaded weights: llama.cpp's server in this process for writing, its C functions for token-level work.

Both map the same file, so the weights are in memory once. The members that share a file share this.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from coterie.errors import ConfigError, MemberError, MissingExtra, ModelFilesError
from coterie.members.llama_cpp import adapter, native
from coterie.members.llama_cpp.adapter import Adapter
from coterie.members.llama_cpp.context import Stopped
from coterie.members.llama_cpp.native import NativeModel
from coterie.members.llama_cpp.reply import Reply
from coterie.members.llama_cpp.vocabulary import ServerVocabulary, Vocabulary
from coterie.types import FailureKind, Json, Secret

T = TypeVar("T")

BATCH_TOKENS = 64
"""Of a prompt, evaluated at once. More is no quicker on a processor, and a cancelled request waits for one batch."""

PROMPT_CACHE_MIB = 256
"""For prompts whose slot was given to another conversation. llama.cpp's own default is 8192."""


@dataclass(frozen=True)
class LlamaEngineSpec:
    """A model file, and how much of it is to be open."""

    path: str
    context_tokens: int = 2048
    """For each slot, and for each token-level session."""
    slots: int = 1
    """Answers written at once."""
    adapter: Adapter | None = None
    """Put on the model for all that the engine does."""
    token_level: bool = True
    """False leaves the token-level functions out, as on a platform where they do not pass their self-test."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LlamaEngine]:
        """The engine, loaded. On leaving, everything it was doing is stopped and its memory given back.

        Raises `MissingExtra`, or `ModelFilesError` for a file that is no model.
        """
        loading = asyncio.get_running_loop().run_in_executor(None, LlamaEngine, self)
        try:
            engine = await asyncio.shield(loading)
        except asyncio.CancelledError:
            loading.add_done_callback(_close_unwanted)
            raise
        try:
            yield engine
        finally:
            await asyncio.to_thread(engine.close)


class LlamaEngine:
    """One model file, open. Made by `LlamaEngineSpec.open`."""

    def __init__(self, spec: LlamaEngineSpec) -> None:
        self.spec = spec
        self.why_no_likelihood = "" if spec.token_level else "the engine was opened without its token-level functions"
        self._closing = threading.Event()
        key = Secret(secrets.token_urlsafe(32))
        self._server = _server(spec, key)
        self._native = self._token_level() if spec.token_level else None
        self.vocabulary: Vocabulary = (
            self._native.vocabulary if self._native else ServerVocabulary(self._server.listening_address, key)
        )
        # Those that write only wait for the server, which does the work on threads of its own.
        self._waiting = ThreadPoolExecutor(4 * spec.slots + 4, "llama-wait")
        self._working = ThreadPoolExecutor(spec.slots, "llama-work")

    @property
    def native(self) -> NativeModel:
        """The model for token-level work. Raises `MemberError` where there is none, with the reason."""
        if self._native is None:
            raise MemberError(f"no token-level work here: {self.why_no_likelihood}", FailureKind.UNAVAILABLE)
        return self._native

    async def write(self, body: Mapping[str, Json], reply: Reply) -> None:
        """Afterwards `reply` has all that the server said. Cancelling returns at once; the server stops at its next
        token, or at the next chunk of the prompt that it is still reading.
        """
        request = {**body, "stream": True, "return_progress": True}

        def take(chunk: Any) -> bool:
            return reply.take(chunk) or self._closing.is_set()

        job = self._submit(self._waiting, lambda: self._server.handle_completions(request, take))
        try:
            await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            reply.unwanted.set()
            raise

    async def prepare(self, job: Callable[[], T]) -> T:
        """What `job` returns: something short, such as tokens of a text, off the event loop."""
        return await asyncio.wrap_future(self._submit(self._waiting, job))

    async def work(self, job: Callable[[Stopped], T], *, discard: Callable[[T], None] | None = None) -> T:
        """What `job` returns: evaluations, one job at a time for each slot.

        Cancelling returns at once; the job is told, and `discard` gets what it may return all the same.
        """
        stop = threading.Event()

        def stopped() -> bool:
            return stop.is_set() or self._closing.is_set()

        def run() -> T:
            try:
                return job(stopped)
            except CancelledError:
                raise MemberError("the engine was closed", FailureKind.UNAVAILABLE) from None

        def ended(done: Future[T]) -> None:
            if discard is not None and not done.cancelled() and done.exception() is None:
                discard(done.result())

        running = self._submit(self._working, run)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            stop.set()
            running.add_done_callback(ended)
            raise

    def close(self) -> None:
        """Stop what is going on, wait for it, and give the memory back. Blocks for a moment."""
        self._closing.set()
        for threads in (self._waiting, self._working):
            threads.shutdown(wait=True, cancel_futures=True)
        if self._native is not None:
            self._native.close()
            self._native = None
        self._server = None

    def _submit(self, threads: ThreadPoolExecutor, job: Callable[[], T]) -> Future[T]:
        if self._closing.is_set():
            raise MemberError("the engine was closed", FailureKind.UNAVAILABLE)
        return threads.submit(job)

    def _token_level(self) -> NativeModel | None:
        try:
            return native.load(Path(self.spec.path), self.spec.context_tokens, self.spec.slots + 1, self.spec.adapter)
        except MissingExtra:
            raise
        except ConfigError as error:
            self.why_no_likelihood = str(error)
            return None


def _server(spec: LlamaEngineSpec, key: Secret) -> Any:
    """llama.cpp's server, loaded. It opens a loopback port of its own, which it cannot be asked to leave out:
    a random key shuts it.
    """
    _require_model(Path(spec.path))
    try:
        import numpy as np  # noqa: F401  (said now rather than at the first score)
        import xllamacpp
    except ImportError as error:
        raise MissingExtra("a local model", "local", error.name or "xllamacpp") from error
    params = xllamacpp.CommonParams()
    params.model.path = spec.path
    params.n_ctx = spec.context_tokens * spec.slots
    params.n_parallel = spec.slots
    # Threads compete with each other for memory at this size: two are more than ten times slower under load.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.n_gpu_layers = 0
    params.no_extra_bufts = True  # weights stay as they are in the file, and in memory once
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.verbosity = -1
    params.api_keys = [key.reveal()]
    params.n_threads_http = 1
    params.ui = False
    if spec.adapter is not None:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(spec.adapter.path, spec.adapter.scale)]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise _why_refused(spec, error) from error


def _why_refused(spec: LlamaEngineSpec, error: Exception) -> ModelFilesError:
    """What to say of a model that llama.cpp did not load: it gives no reason itself."""
    lora = spec.adapter
    if lora is not None and (why := adapter.why_unfit(Path(lora.path), Path(spec.path))):
        return ModelFilesError(
            f"the adapter {lora.path!r} does not fit the model {spec.path!r}: {why}. "
            "Name the model that it was trained on"
        )
    return ModelFilesError(
        f"llama.cpp cannot load {spec.path!r} with {spec.slots} slots of {spec.context_tokens} tokens"
        f"{'' if lora is None else f' and the adapter {lora.path!r}: is it whole?'} ({error})"
    )


def _require_model(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ModelFilesError(f"cannot read the model file {str(path)!r}: {error}") from error
    if start != b"GGUF":
        raise ModelFilesError(f"{str(path)!r} is no GGUF file: it begins with {start!r}")


def _close_unwanted(loading: asyncio.Future[LlamaEngine]) -> None:
    if not loading.cancelled() and loading.exception() is None:
        loading.result().close()
