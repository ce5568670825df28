"""The C functions that the `xllamacpp` wheel exports, bound by hand for exactly one version.

The wheel documents none of them, and structures passed by value change between versions. So the
version is compared first, then what the default parameters must look like; `selftest` does the rest.
"""

from __future__ import annotations

import ctypes as c
from functools import cache
from typing import Any, cast

from coterie.errors import ConfigError, MissingExtra

WHEEL_VERSION = "2026.10.11549"
LIBRARY_VERSION = "0.6.0-dev"

# Places of the context parameters in the structure, counted in 32-bit words, and their defaults.
N_CTX, N_BATCH, N_UBATCH, N_SEQ_MAX, N_THREADS, N_THREADS_BATCH = 0, 1, 2, 3, 7, 8
CONTEXT_DEFAULTS = {N_CTX: 512, N_BATCH: 2048, N_UBATCH: 512, N_SEQ_MAX: 1, N_THREADS: 4, N_THREADS_BATCH: 4}

USE_EXTRA_BUFTS = 74
"""Place of that flag in the model parameters, in bytes; true by default."""

Handle = c.c_void_p
Token = c.c_int32
Logits = c.POINTER(c.c_float)


class Params(c.Structure):
    """A parameter structure of the library, larger than it is there: only its first words are known here."""

    _fields_ = [("words", c.c_uint32 * 256)]


class Batch(c.Structure):
    """``llama_batch``: tokens to evaluate, with their positions and sequences."""

    _fields_ = [
        ("n_tokens", c.c_int32),
        ("token", c.POINTER(Token)),
        ("embd", c.POINTER(c.c_float)),
        ("pos", c.POINTER(c.c_int32)),
        ("n_seq_id", c.POINTER(c.c_int32)),
        ("seq_id", c.POINTER(c.POINTER(c.c_int32))),
        ("logits", c.POINTER(c.c_int8)),
    ]


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # The result, then the arguments.
    "llama_version": (c.c_char_p,),
    "llama_model_default_params": (Params,),
    "llama_context_default_params": (Params,),
    "llama_model_load_from_file": (Handle, c.c_char_p, Params),
    "llama_model_free": (None, Handle),
    "llama_model_get_vocab": (Handle, Handle),
    "llama_model_chat_template": (c.c_char_p, Handle, c.c_char_p),
    "llama_adapter_lora_init": (Handle, Handle, c.c_char_p),
    "llama_adapter_lora_free": (None, Handle),
    "llama_adapter_get_alora_n_invocation_tokens": (c.c_uint64, Handle),
    "llama_init_from_model": (Handle, Handle, Params),
    "llama_free": (None, Handle),
    "llama_set_adapters_lora": (c.c_int32, Handle, c.POINTER(Handle), c.c_size_t, c.POINTER(c.c_float)),
    "llama_n_ctx": (c.c_uint32, Handle),
    "llama_n_batch": (c.c_uint32, Handle),
    "llama_n_ubatch": (c.c_uint32, Handle),
    "llama_n_threads": (c.c_int32, Handle),
    "llama_get_memory": (Handle, Handle),
    "llama_memory_clear": (None, Handle, c.c_bool),
    "llama_memory_seq_rm": (c.c_bool, Handle, c.c_int32, c.c_int32, c.c_int32),
    "llama_memory_seq_pos_min": (c.c_int32, Handle, c.c_int32),
    "llama_decode": (c.c_int32, Handle, Batch),
    "llama_get_logits_ith": (Logits, Handle, c.c_int32),
    "llama_vocab_n_tokens": (c.c_int32, Handle),
    "llama_vocab_bos": (Token, Handle),
    "llama_vocab_eos": (Token, Handle),
    "llama_vocab_get_add_bos": (c.c_bool, Handle),
    "llama_vocab_get_text": (c.c_char_p, Handle, Token),
    "llama_vocab_is_eog": (c.c_bool, Handle, Token),
    "llama_tokenize": (c.c_int32, Handle, c.c_char_p, c.c_int32, c.POINTER(Token), c.c_int32, c.c_bool, c.c_bool),
    "llama_token_to_piece": (c.c_int32, Handle, Token, c.c_char_p, c.c_int32, c.c_int32, c.c_bool),
}


class Library:
    """The bound functions, called by their own names."""

    def __init__(self, path: str) -> None:
        """Bind every function of this module. Raises `ConfigError` when one is missing."""
        try:
            functions = c.CDLL(path)
            for name, (result, *arguments) in _SIGNATURES.items():
                function = getattr(functions, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise ConfigError(f"the llama.cpp library {path!r} cannot be bound: {error}") from error
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def model_params(self) -> Params:
        """Parameters of a model whose weights stay as they are in the file.

        Repacked weights give a text evaluated at once another probability than token by token (0.02 nats
        a token for a Q4_K file), take memory of their own, and are no quicker on one thread.
        """
        params = cast("Params", self.llama_model_default_params())
        _bytes(params)[USE_EXTRA_BUFTS] = 0
        return params

    def context_params(self, context_tokens: int, batch_tokens: int) -> Params:
        """Parameters of a context for one sequence, evaluated on one thread."""
        params = cast("Params", self.llama_context_default_params())
        params.words[N_CTX] = context_tokens
        params.words[N_BATCH] = params.words[N_UBATCH] = batch_tokens
        # One thread each: more are slower at this size, and far slower once contexts compete for cores.
        params.words[N_THREADS] = params.words[N_THREADS_BATCH] = 1
        return params


@cache
def library() -> Library:
    """The library inside the installed wheel. Raises `ConfigError` when it is not the one this module knows."""
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtra("the llama.cpp engine", "local", "xllamacpp") from error
    check_wheel(xllamacpp.__version__)
    bound = Library(xllamacpp.xllamacpp.__file__)
    version = bound.llama_version().decode()
    if version != LIBRARY_VERSION:
        raise ConfigError(f"the library calls itself {version!r}, and {LIBRARY_VERSION!r} is the one bound here")
    check_defaults(bound.llama_model_default_params(), bound.llama_context_default_params())
    return bound


def check_wheel(version: str) -> None:
    """Raise `ConfigError` unless `version` is the one whose functions are bound here."""
    if version != WHEEL_VERSION:
        raise ConfigError(
            f"xllamacpp {version!r} is installed, and the token-level functions are bound for {WHEEL_VERSION!r} only: "
            f"pip install 'xllamacpp=={WHEEL_VERSION}'"
        )


def check_defaults(model: Params, context: Params) -> None:
    """Raise `ConfigError` unless the defaults stand where they are expected."""
    found = {place: int(context.words[place]) for place in CONTEXT_DEFAULTS}
    if found != CONTEXT_DEFAULTS:
        raise ConfigError(f"llama.cpp's context parameters are {found!r} by default, not {CONTEXT_DEFAULTS!r}")
    flags = [int(byte) for byte in _bytes(model)[USE_EXTRA_BUFTS - 2 : USE_EXTRA_BUFTS + 3]]
    if flags != [0, 0, 1, 0, 0]:
        raise ConfigError(f"llama.cpp's model parameters have the flags {flags!r} by default, not [0, 0, 1, 0, 0]")


def _bytes(params: Params) -> c.Array[c.c_ubyte]:
    """The same memory, byte by byte."""
    return (c.c_ubyte * c.sizeof(params)).from_buffer(params)
