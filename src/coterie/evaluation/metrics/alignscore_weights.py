"""AlignScore's checkpoints: where their file lies, and its tensors, read without running what is in it.

The published files are PyTorch Lightning's: pickles that hold a ``state_dict`` beside the training's leftovers. They
are loaded as weights only, so that nothing in them runs. A file of the same names in safetensors is read as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from coterie.errors import ConfigError, MissingExtra, MissingWeights

SAFE = "model.safetensors"
LARGE = "AlignScore-large.ckpt"
BASE = "AlignScore-base.ckpt"

SPARE = ("mlm_head.", "base_model.embeddings.position_ids")
"""Of training, and of older versions of transformers."""

CONVERT = (
    "where you trust its source, convert it once: torch.load it with weights_only=False, and save the tensors of its "
    f"'state_dict' with safetensors as {SAFE!r} (docs/metrics.md shows how)"
)


def find(model: str, file: str | None = None, cache_folder: str | None = None) -> Path:
    """The file of weights in a folder or under a hub name. Raises `MissingWeights`, `MissingExtra`.

    Raises `ConfigError` for a folder with several checkpoints of which none is named.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return _fetched(model, file or LARGE, cache_folder)
    for name in (file,) if file else (SAFE, LARGE, BASE):
        if (folder / name).is_file():
            return folder / name
    others = [] if file else sorted(folder.glob("*.ckpt"))
    if len(others) > 1:
        raise ConfigError(f"{model!r} holds several checkpoints: say file={others[0].name!r} or another")
    if not others:
        wanted = repr(file) if file else f"neither {SAFE} nor a checkpoint such as {LARGE}"
        raise MissingWeights(f"{model!r} holds {'no ' if file else ''}{wanted}")
    return others[0]


def state_of(file: Path) -> dict[str, Tensor]:
    """The tensors of inference by their names, on the CPU. Raises `ConfigError` for what cannot be read safely."""
    state = _safe(file) if file.suffix == ".safetensors" else _pickled(file)
    return {name: tensor for name, tensor in state.items() if not name.startswith(SPARE)}


def _safe(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except Exception as error:  # a file can be wrong in many ways, and each has its own exception
        raise ConfigError(f"{str(file)!r} cannot be read as safetensors: {error}") from error


def _pickled(file: Path) -> dict[str, Tensor]:
    try:
        # Mapped: two thirds of a published file are the optimizer's.
        held: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        refused = re.search(r"Unsupported \w+: .*?(?=\. |\n|\Z)", str(error))
        why = f" ({refused[0]})" if refused else ""
        raise ConfigError(f"{str(file)!r} cannot be read as weights alone{why}: {CONVERT}") from error
    except Exception as error:  # the same
        raise ConfigError(f"{str(file)!r} cannot be read as a checkpoint: {error}") from error
    state = held.get("state_dict", held) if isinstance(held, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ConfigError(f"{str(file)!r} holds no state dict: it is no checkpoint")
    return state


def _fetched(name: str, file: str, cache_folder: str | None) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtra(f"fetching {name!r}", "torch", "huggingface_hub") from error
    try:
        return Path(hf_hub_download(name, file, cache_dir=cache_folder))
    except Exception as error:  # the client raises many kinds, none of which it promises
        raise MissingWeights(
            f"{name!r} is no folder, and {file!r} could not be fetched from the hub under this name: {error}. "
            f"Put the checkpoint into a folder, and say model=FOLDER"
        ) from error
