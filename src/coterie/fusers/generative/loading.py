"""Fusing models as transformers loads them: a folder, a hub name, `coterie/NAME` or a GGUF file; and adapters.

A GGUF file is dequantised. It is where a model's weights can be had when there is no hub.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie import shipped
from coterie.errors import ConfigError, MissingExtra
from coterie.quiet import quiet as transformers_quiet

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Source:
    """Where a model's files are."""

    name: str
    cache_folder: str | None = None

    @property
    def is_gguf(self) -> bool:
        return self.name.endswith(".gguf")

    @property
    def place(self) -> str:
        """The folder or the hub name that transformers is to open."""
        if self.is_gguf:
            return str(Path(self.name).expanduser().parent)
        return str(shipped.folder(self.name) or Path(self.name).expanduser())

    @property
    def settings(self) -> dict[str, Any]:
        """What ``from_pretrained`` is to be told beside the place."""
        file = {"gguf_file": Path(self.name).name} if self.is_gguf else {}
        return {"cache_dir": self.cache_folder, **file}


def tokenizer_of(source: Source) -> Any:
    """The model's tokenizer, with something to pad with. Raises `ConfigError`, `MissingExtra`."""
    _check()
    from transformers import AutoTokenizer

    with _refusing(source.name):
        tokenizer: Any = AutoTokenizer.from_pretrained(source.place, **source.settings)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def model_of(source: Source, dtype: torch.dtype) -> Any:
    """The model with its weights, on the CPU, ready to infer. Raises `ConfigError`, `MissingExtra`."""
    _check()
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    with _refusing(source.name), quiet():
        config: Any = AutoConfig.from_pretrained(source.place, **source.settings)
        family: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = family.from_pretrained(source.place, dtype=dtype, **source.settings)
        return (_dequantised(model, config, family) if source.is_gguf else model).eval()


def adapted(model: Any, adapter: Source, *, merged: bool) -> Any:
    """`model` with a LoRA adapter on it, or `merged` into its weights. Raises `ConfigError`, `MissingExtra`."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtra("a fuser with an adapter", "train", "peft") from error
    with _refusing(adapter.name, "an adapter of this model"), quiet():
        wrapped: Any = PeftModel.from_pretrained(model, adapter.place, cache_dir=adapter.cache_folder)
        return (wrapped.merge_and_unload() if merged else wrapped).eval()


def _dequantised(model: Any, config: Any, family: Any) -> Any:
    """The same weights in a model that does not remember that they were quantised, which would refuse to be saved."""
    fresh = family.from_config(config, dtype=model.dtype)
    fresh.load_state_dict(model.state_dict())
    fresh.generation_config = model.generation_config
    return fresh


def _check() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the generative fuser", "torch", "transformers") from error


@contextmanager
def _refusing(name: str, what: str = "a fuser") -> Iterator[None]:
    """Loading errors, as one of ours that names what was to be loaded."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ConfigError(f"{name!r} cannot be loaded as {what}: {error}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """As `coterie.quiet`, and without the words of what loads GGUF files and adapters."""
    from transformers import modeling_gguf_pytorch_utils as of_gguf

    dequantising: Any = of_gguf  # its bar is not among those that transformers switches off
    bar = dequantising.tqdm
    dequantising.tqdm = partial(bar, disable=True)
    try:
        with transformers_quiet(), warnings.catch_warnings():  # peft calls transformers by a name of old
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            yield
    finally:
        dequantising.tqdm = bar
