"""Where training starts: a checkpoint's folder without weights, and a network with the base encoder's.

The folder is laid out before training begins, so that what is trained reads texts through the very files that
the judge will read them through.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie import shipped
from coterie.errors import ConfigError
from coterie.judges.pair_ranker import checkpoint
from coterie.judges.pair_ranker.checkpoint import PREFIXES, Checkpoint
from coterie.quiet import quiet
from coterie.training.settings import AnyTraining
from coterie.types import Json

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

REFERENCE_NAMES = {"deberta-v2": "deberta"}
"""LLM-Blender's names of model types, where they differ from transformers'."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")

SHIPPED_BASE = "sentence-transformers/all-MiniLM-L6-v2"
"""What the rankers that come with this package were trained from."""


@dataclass(frozen=True)
class Base:
    """What training starts from, found and not yet loaded."""

    name: str
    folder: Path
    config: PretrainedConfig
    ranker: Checkpoint | None
    """Set where the base is itself a ranker, whose head is kept too."""


def check(name: str) -> None:
    """Raises `ConfigError` for a ranker on this machine that was exported for inference and has no weights to train."""
    folder = shipped.folder(name) or Path(name).expanduser()
    if not (folder / checkpoint.ONNX).is_file() or any((folder / file).is_file() for file in WEIGHTS):
        return
    raise ConfigError(
        f"{name!r} is exported for inference alone ({checkpoint.ONNX}) and has no weights that training could start "
        f"from: start from the encoder below it, which for rankers of this package is --base {SHIPPED_BASE}"
    )


def find(name: str) -> Base:
    """The encoder or ranker in a folder or under a hub name. Raises `ConfigError`."""
    from transformers import AutoConfig

    folder = checkpoint.locate(name)
    if _holds_ranker(folder):
        ranker = checkpoint.find(str(folder))
        return Base(name, folder, ranker.encoder_config(), ranker)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name!r} is no encoder to start from: {error}") from error
    return Base(name, folder, config, None)


def _holds_ranker(folder: Path) -> bool:
    """True for a ranker's checkpoint, in any layout that judges open."""
    if (folder / "ranker_config.json").is_file():
        return True
    settings = _read(folder / "config.json")
    return "ranker_type" in settings or "n_tasks" in settings


def lay_out(base: Base, settings: AnyTraining, folder: Path) -> Checkpoint:
    """Afterwards `folder` holds everything of the ranker but its weights: configuration, encoder's, tokenizer.

    Raises `ConfigError` for a tokenizer that no ranker can use, and for lengths that leave no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(base)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = {**base.config.to_dict(), "vocab_size": tokenizer.get_vocab_size()}
    encoder.pop("_name_or_path", None)  # where it lay on the machine that trained
    _write(folder / "base" / "config.json", encoder)
    _write(folder / "config.json", ranker_config(settings, str(base.config.model_type)))
    return checkpoint.find(str(folder))


def ranker_config(settings: AnyTraining, model_type: str) -> dict[str, Json]:
    """What `config.json` says, in the manner of LLM-Blender's RankerConfig."""
    draws = settings.draws
    return {
        "ranker_type": settings.kind,
        "model_type": REFERENCE_NAMES.get(model_type, model_type),
        "model_name": "base",
        "source_maxlength": settings.source_tokens,
        "candidate_maxlength": settings.candidate_tokens,
        "n_tasks": len(settings.metrics),
        "num_pos": draws.num_pos,
        "num_neg": draws.num_neg,
        "sub_sampling_mode": draws.sampling,
        "sub_sampling_ratio": draws.ratio,
        "loss_type": settings.loss or settings.kind,
        "reduce_type": "linear",
        "inference_mode": "full",
        "drop_out": settings.drop_out,
        "fp16": True,
        "metrics": list(settings.metrics),
        "keep": settings.keep,
    }


def fill(network: nn.Module, base: Base, vocabulary: int) -> None:
    """Afterwards the network has the base's weights in float32; what the base lacks stays as it was drawn.

    The embedding has a row for each token of `vocabulary`: the marking pieces' are drawn, rows of no token dropped.
    Raises `ConfigError` where the base has no weights, or not this network's.
    """
    import torch

    if base.ranker is not None:
        _fill_whole(network, base.ranker)
        return
    from transformers import AutoModel

    try:
        with quiet():
            encoder: Any
            encoder, report = AutoModel.from_pretrained(base.folder, dtype=torch.float32, output_loading_info=True)
            encoder.resize_token_embeddings(vocabulary, mean_resizing=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"the weights of {base.name!r} cannot be loaded: {error}") from error
    # A pooler is no part of what rankers read, and many encoders are published without one.
    if absent := sorted(name for name in report["missing_keys"] if not name.startswith("pooler.")):
        raise ConfigError(f"the weights in {base.name!r} lack {absent[:5]!r} and {len(absent)} in all")
    own: Any = network
    try:
        own.pretrained_model.load_state_dict(encoder.state_dict())
    except RuntimeError as error:
        raise ConfigError(f"the weights of {base.name!r} do not fit its configuration: {error}") from error


def _fill_whole(network: nn.Module, ranker: Checkpoint) -> None:
    """A ranker's own weights; those of a pair ranker that its network never used are passed over."""
    weights = {name: weight.float() for name, weight in ranker.weights().items()}
    try:
        missing, _ = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ConfigError(f"{str(ranker.folder)!r} is a ranker of another shape: {error}") from error
    if absent := [name for name in missing if not name.endswith("position_ids")]:
        raise ConfigError(f"{str(ranker.folder)!r} is another kind of ranker: its weights lack {absent[:5]!r}")


def _tokenizer(base: Base) -> Any:
    """The base's tokenizer, with the marking pieces as its last tokens where it does not know them yet."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    place = Path(base.ranker.tokenizer if base.ranker else base.folder)
    file = place / "tokenizer.json"
    if file.is_file():
        made = Tokenizer.from_file(str(file))
    else:
        try:
            with quiet():
                converted: Any = AutoTokenizer.from_pretrained(place, use_fast=True)
            made = converted.backend_tokenizer
        except (OSError, ValueError, ImportError, AttributeError) as error:
            raise ConfigError(f"{base.name!r} has no tokenizer that can be read: {error}") from error
    made.no_truncation()
    made.no_padding()
    made.add_tokens(list(PREFIXES))
    return made


def _read(file: Path) -> dict[str, Json]:
    try:
        settings: dict[str, Json] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read, so there is nothing to start from: {error}") from error
    return settings


def _write(file: Path, settings: dict[str, Json]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
