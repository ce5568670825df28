"""The model that is trained to fuse: with all of its weights, or with an adapter; and the files that are made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from coterie.errors import ConfigError, MissingExtra
from coterie.fusers.generative.loading import quiet
from coterie.training.fusing_settings import FuserTraining

NOT_ITS_OWN = ("_name_or_path", "name_or_path", "is_local", "local_files_only", "cache_dir")
"""Where transformers writes where something was loaded from."""


def with_adapter(model: Any, settings: FuserTraining) -> Any:
    """The model with a fresh adapter, all else frozen. Raises `ConfigError` for layers that are not there."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtra("training an adapter", "train", "peft") from error
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.lora_drop_out,
        target_modules=list(settings.targets) or linear_layers(model),
        task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
    )
    torch.manual_seed(settings.seed)
    try:
        with quiet():
            wrapped: Any = get_peft_model(model, lora)
    except ValueError as error:
        raise ConfigError(f"no adapter can stand beside {list(settings.targets)!r} of this model: {error}") from error
    wrapped.peft_config["default"].base_model_name_or_path = ""  # or every checkpoint would look for it on the hub
    return wrapped


def linear_layers(model: Any) -> list[str]:
    """The names of all linear layers but the one that writes tokens."""
    last = model.get_output_embeddings()
    found = (name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and part is not last)
    return sorted({name.rpartition(".")[2] for name in found})


def round_weights(model: Any, dtype: torch.dtype) -> None:
    """Afterwards trained weights are what will be read back, so that what is measured is what is used."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(weight.to(dtype))


def save_adapter(model: Any, base_name: str, folder: Path) -> None:
    """Afterwards `folder` holds `adapter_config.json`, which names the base so, and `adapter_model.safetensors`."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    halves = {name: weight.detach().to("cpu", torch.float16).contiguous() for name, weight in weights.items()}
    save_file(halves, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = model.peft_config["default"]
    settings.base_model_name_or_path = base_name
    settings.inference_mode = True
    settings.target_modules = sorted(settings.target_modules)
    settings.save_pretrained(folder)


def save_model(model: Any, tokenizer: Any, base_name: str, dtype: torch.dtype, folder: Path) -> None:
    """Afterwards `folder` holds the whole model, in `dtype`, and its tokenizer; neither says where the base lay."""
    model.config._name_or_path = base_name
    model.config.use_cache = True  # the Trainer turns it off, which would make every generation slow
    with quiet():
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for file in (folder / "config.json", folder / "tokenizer_config.json"):
        settings = json.loads(file.read_text(encoding="utf-8"))
        kept = {name: value for name, value in settings.items() if name not in NOT_ITS_OWN}
        file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
