"""A transformer with a classification head, loaded: texts in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError, MissingExtra
from coterie.quiet import quiet
from coterie.routers.forecast import Kept
from coterie.routers.reading import Ids, Keep, Reader, batches
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

WEIGHTS = "classifier"
"""The folder inside an artifact that holds the model and its tokenizer."""

BUDGET_TOKENS = {"cpu": 2_048, "cuda": 65_536}
"""Tokens that are read at once, padding included, by the device."""


class TextClassifier:
    """A sequence classifier with its tokenizer, on the GPU where there is one, in float32 everywhere.

    Several threads may ask it at once.
    """

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int, keep: Keep = "start") -> None:
        """`max_tokens` of a row, or as many as the model tells places apart."""
        self.model = model.to(device()).eval()
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.keep: Keep = keep
        self.reader = Reader(tokenizer, min(max_tokens, most_tokens(model)), keep)

    @classmethod
    def load(cls, name: str, n_labels: int, max_tokens: int, keep: Keep = "start") -> TextClassifier:
        """The classifier in a folder or under a hub name.

        Raises `ConfigError` where it cannot be had, lacks weights or has another number of labels, `MissingExtra`.
        """
        model, report = load_model(name, "SequenceClassification")
        if report["missing_keys"]:
            raise ConfigError(f"{name!r} is no classifier: its weights lack {sorted(report['missing_keys'])[:5]!r}")
        if model.config.num_labels != n_labels:
            raise ConfigError(f"{name!r} has {model.config.num_labels} labels, and {n_labels} are needed")
        return cls(model, load_tokenizer(name), max_tokens, keep)

    def logits(self, rows: Sequence[Ids]) -> NDArray[np.float64]:
        """(rows, labels)."""
        import numpy as np
        import torch

        place = self.model.device
        said = np.zeros((len(rows), self.model.config.num_labels))
        if not len(rows):
            return said
        pad = self.tokenizer.pad_token_id or 0
        for batch in batches([len(row) for row in rows], BUDGET_TOKENS.get(place.type, BUDGET_TOKENS["cpu"])):
            tensors = padded([rows[n] for n in batch], pad)
            with torch.inference_mode():
                logits = self.model(**{name: tensor.to(place) for name, tensor in tensors.items()}).logits
            said[batch] = logits.double().cpu().numpy()
        return said

    def settings(self) -> dict[str, Json]:
        """What `opened` must be told beside the weights."""
        return {"max_tokens": self.max_tokens, "keep": self.keep}

    def save(self, folder: Path) -> None:
        """Afterwards `folder` holds the configuration, the weights as safetensors, and the tokenizer's files."""
        save_model(self.model, self.tokenizer, folder)


def opened(kept: Kept, n_labels: int, name: str = WEIGHTS) -> TextClassifier:
    """The classifier that an artifact keeps in the folder `name`. Raises `ConfigError`, `MissingExtra`."""
    max_tokens, keep = kept.settings.get("max_tokens"), kept.settings.get("keep")
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise ConfigError(f"max_tokens of the router in {str(kept.folder)!r} is at least 1, not {max_tokens!r}")
    if keep not in ("start", "end"):
        raise ConfigError(f"keep of the router in {str(kept.folder)!r} is 'start' or 'end', not {keep!r}")
    return TextClassifier.load(str(kept.folder / name), n_labels, max_tokens, "end" if keep == "end" else "start")


# ---- loading and saving ---------------------------------------------------------------------------


def load_config(name: str, **settings: Any) -> Any:
    """The configuration of a folder or hub name, with these settings. Raises `ConfigError`, `MissingExtra`."""
    transformers = needed()
    try:
        return transformers.AutoConfig.from_pretrained(_place(name), **settings)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name!r} has no configuration that can be read: {error}") from error


def load_model(name: str, task: str, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """The model of a folder or hub name for `task` in float32, and which weights it lacked.

    Raises `ConfigError`, `MissingExtra`.
    """
    transformers = needed()
    import torch

    family = getattr(transformers, f"AutoModelFor{task}")
    settings = {"dtype": torch.float32, **settings}
    try:
        with quiet():
            model, report = family.from_pretrained(
                _place(name),
                use_safetensors=True,
                output_loading_info=True,
                **settings,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name!r} cannot be loaded for {task}: {error}") from error
    return model, report


def load_tokenizer(name: str) -> Any:
    """The fast tokenizer of a folder or hub name. Raises `ConfigError`, `MissingExtra`."""
    transformers = needed()
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(_place(name), use_fast=True)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"{name!r} has no tokenizer that can be read: {error}") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{name!r} has no fast tokenizer, such as a tokenizer.json")
    return tokenizer


def _place(name: str) -> str:
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Afterwards `folder` holds what `load_model` and `load_tokenizer` read; it does not say where the base lay."""
    model.config._name_or_path = ""
    with quiet():
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)


def needed() -> Any:
    """transformers, with PyTorch. Raises `MissingExtra`."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise MissingExtra("a router that reads with a transformer", "torch", error.name or "torch") from error
    return transformers


def device() -> torch.device:
    """A GPU where there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def most_tokens(model: Any) -> int:
    """How long a row of this model may be."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if table is None:
        return int(getattr(model.config, "max_position_embeddings", None) or 1_000_000)
    # RoBERTa and its kin count places from behind the padding's.
    return int(table.num_embeddings) - (0 if table.padding_idx is None else int(table.padding_idx) + 1)


def padded(rows: Sequence[Ids], pad: int, *, left: bool = False) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, (rows, longest)."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    attended = torch.zeros((len(rows), width), dtype=torch.long)
    for n, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[n, place] = torch.tensor(row, dtype=torch.long)
        attended[n, place] = 1
    return {"input_ids": ids, "attention_mask": attended}
