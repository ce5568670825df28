"""Pair ranker checkpoints: where their files lie and what they say, in any of the published layouts.

Three layouts are read: `config.json` in the manner of llm_blender's RankerConfig (PairRM, pair-ranker),
the same under the name `ranker_config.json`, and `config.json` in the manner of a DeBERTa model (PairRM-hf).
Weights are `model.safetensors`, or `pytorch_model.bin` loaded as weights only. Nothing is unpickled
otherwise, and no base model's weights are fetched: all of them are in the checkpoint. An export has
`model.onnx` instead of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie import shipped
from coterie.errors import ConfigError, MissingExtra
from coterie.judges.keeping import Keep
from coterie.types import Json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
"""The pieces that mark what is what, in the order in which their ids were given out."""

ONNX = "model.onnx"
"""An exported network's file."""

FILES = ("*.json", "*.safetensors", "pytorch_model.bin", ONNX, "spm.model", "vocab.txt", "merges.txt")

DEBERTA_V3_LARGE: Mapping[str, Json] = {
    "model_type": "deberta-v2",
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "layer_norm_eps": 1e-7,
    "max_relative_positions": -1,
    "position_biased_input": False,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "type_vocab_size": 0,
    "vocab_size": 128100,
    "pad_token_id": 0,
}
"""The encoder of both published rankers, so that neither needs the hub for it."""

KNOWN_ENCODERS = {"microsoft/deberta-v3-large": DEBERTA_V3_LARGE}


@dataclass(frozen=True)
class Checkpoint:
    """A pair ranker's files, found and read, its weights not yet loaded."""

    folder: Path
    encoder: Mapping[str, Json]
    """The encoder's configuration as transformers writes it."""
    tokenizer: Path | str
    """A folder with `tokenizer.json`, or the name to load one by."""
    source_tokens: int = 1224
    candidate_tokens: int = 412
    n_tasks: int = 1
    drop_out: float = 0.05
    keep: Keep = "start"
    settings: Mapping[str, Json] = field(default_factory=dict, hash=False)
    """Everything the ranker's configuration says."""

    def encoder_config(self) -> PretrainedConfig:
        """The encoder's configuration as an object of transformers."""
        from transformers import AutoConfig

        settings = dict(self.encoder)
        model_type = settings.pop("model_type")
        config: PretrainedConfig = AutoConfig.for_model(model_type, **settings)
        return config

    @property
    def onnx(self) -> Path | None:
        """The exported network's file; ``None`` where there is none."""
        file = self.folder / ONNX
        return file if file.is_file() else None

    @property
    def longest(self) -> int:
        """How many tokens a row may have."""
        return self.source_tokens + 2 * self.candidate_tokens

    def tokenizer_json(self) -> str:
        """The tokenizer as the library `tokenizers` reads it. An older kind is converted, which needs transformers."""
        place = Path(self.tokenizer)
        file = place / "tokenizer.json"
        if file.is_file():
            return file.read_text(encoding="utf-8")
        from transformers import AutoTokenizer

        converted = AutoTokenizer.from_pretrained(place, use_fast=True)
        specification: str = converted.backend_tokenizer.to_str()
        return specification

    def weights(self) -> dict[str, Tensor]:
        """The state dict, on the CPU."""
        safe = self.folder / "model.safetensors"
        if safe.is_file():
            from safetensors.torch import load_file

            return load_file(safe)
        pickled = self.folder / "pytorch_model.bin"
        if pickled.is_file():
            import torch

            state: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
            return state
        raise ConfigError(f"{str(self.folder)!r} holds neither model.safetensors nor pytorch_model.bin")


def find(name: str, *, cache_folder: str | None = None, **overrides: Any) -> Checkpoint:
    """The checkpoint in a folder, under the name of a part that comes with this package (``coterie/NAME``), or under
    a hub name. `overrides` replace settings of its configuration.

    Raises `ConfigError` for a folder that is no pair ranker, `MissingExtra` where the hub's client is absent.
    """
    folder = locate(name, cache_folder)
    settings = _settings(folder)
    settings |= {key: value for key, value in overrides.items() if value is not None}
    if "model_name" in settings:
        return _of_ranker_config(folder, settings, cache_folder)
    if "model_type" in settings:
        return _of_model_config(folder, settings)
    raise ConfigError(
        f"the configuration in {str(folder)!r} names neither model_name nor model_type: it is no pair ranker's"
    )


def locate(name: str, cache_folder: str | None = None, beside: Path | None = None) -> Path:
    """The folder called `name`: a part of this package, beside another, in the working folder, or from the hub."""
    part = shipped.folder(name)
    if part is not None:
        return part
    own = Path(name).expanduser()
    for place in (beside / own, beside.parent / own) if beside and not own.is_absolute() else ():
        if place.is_dir():
            return place
    if own.is_dir():
        return own
    return _fetched(name, cache_folder)


def _fetched(name: str, cache_folder: str | None, files: tuple[str, ...] = FILES) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra(f"fetching {name!r}", "torch", "huggingface_hub") from error
    try:
        return Path(snapshot_download(name, cache_dir=cache_folder, allow_patterns=list(files)))
    except Exception as error:  # the client raises many kinds, none of which it promises
        raise ConfigError(f"{name!r} is no folder, and could not be fetched from the hub: {error}") from error


def _settings(folder: Path) -> dict[str, Json]:
    for name in ("ranker_config.json", "config.json"):
        file = folder / name
        if file.is_file():
            return _read(file)
    raise ConfigError(f"{str(folder)!r} holds neither config.json nor ranker_config.json")


def _read(file: Path) -> dict[str, Json]:
    """A configuration. Raises `ConfigError` for a file that is none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration {str(file)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{str(file)!r} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{str(file)!r} is no configuration, but {settings!r:.80}")
    return settings


def _of_ranker_config(folder: Path, settings: Mapping[str, Json], cache_folder: str | None) -> Checkpoint:
    base = str(settings["model_name"])
    encoder = KNOWN_ENCODERS.get(base)
    place: Path | str = folder
    if encoder is None or not (folder / "tokenizer.json").is_file():
        found = _base(base, folder, cache_folder)
        encoder = encoder or _read(found / "config.json")
        place = folder if (folder / "tokenizer.json").is_file() else found
    return Checkpoint(folder, encoder, place, settings=settings, **_said(settings, folder))


def _of_model_config(folder: Path, settings: Mapping[str, Json]) -> Checkpoint:
    return Checkpoint(folder, settings, folder, settings=settings, **_said(settings, folder))


def _said(settings: Mapping[str, Json], folder: Path) -> dict[str, Any]:
    """What a configuration says of the ranker, by a checkpoint's field; what it leaves out is left out."""
    found = {}
    for key, (name, kind) in _FIELDS.items():
        if settings.get(key) is None:
            continue
        try:
            found[name] = kind(settings[key])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key} of the ranker in {str(folder)!r} cannot be {settings[key]!r}: {error}") from error
    return found


def _end(said: Json) -> Keep:
    if said not in ("start", "end"):
        raise ValueError("it is 'start' or 'end'")
    return said  # type: ignore[no-any-return]


_FIELDS: Mapping[str, tuple[str, Any]] = {
    "source_maxlength": ("source_tokens", int),
    "candidate_maxlength": ("candidate_tokens", int),
    "n_tasks": ("n_tasks", int),
    "drop_out": ("drop_out", float),
    "keep": ("keep", _end),
}


def _base(name: str, beside: Path, cache_folder: str | None) -> Path:
    """The base model's folder, for its configuration and tokenizer alone."""
    found = Path(name)
    for place in (beside / found, beside.parent / found, found):
        if place.is_dir():
            return place
    return _fetched(name, cache_folder, ("config.json", "tokenizer*.json", "special_tokens_map.json", "spm.model"))
