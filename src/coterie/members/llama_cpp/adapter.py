"""LoRA adapters for a model that runs here: where one lies, how much of it is meant, why a model refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coterie import shipped
from coterie.errors import ModelFilesError
from coterie.members.llama_cpp import header
from coterie.members.llama_cpp.header import Header

FILE = "adapter.gguf"
"""What the adapter is called in a folder."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter (arXiv 2106.09685) as llama.cpp reads it."""

    path: str
    scale: float = 1.0
    """What its change of the weights is multiplied by: 0 leaves the model as it is."""


def find(name_or_path: str) -> Path:
    """The absolute path of an adapter: ``coterie/NAME``, a folder with an ``adapter.gguf``, or a file.

    Raises `ModelFilesError` when there is none, and `ConfigError` for a ``coterie/NAME`` that does not exist.
    """
    place = shipped.folder(name_or_path) or Path(name_or_path).expanduser().absolute()
    if place.is_file():
        return place
    if (place / FILE).is_file():
        return place / FILE
    if (place / "adapter_config.json").is_file():
        raise ModelFilesError(
            f"the adapter in {str(place)!r} is in PEFT's form: "
            f"coterie.members.llama_cpp.write_gguf makes the {FILE!r} of it that llama.cpp reads"
        )
    raise ModelFilesError(f"there is no adapter {name_or_path!r}: neither a .gguf file nor a folder with an {FILE!r}")


def why_unfit(adapter: Path, model: Path) -> str:
    """Why the model in the one file cannot take the adapter in the other; empty where nothing speaks against it.

    Raises `ModelFilesError` when one of them cannot be read.
    """
    own, base = header.read(adapter), header.read(model)
    for key, wanted in (("general.type", "adapter"), ("adapter.type", "lora")):
        if (found := own.metadata.get(key)) != wanted:
            return f"its {key} is {found!r}, not {wanted!r}"
    mine, theirs = (file.metadata.get("general.architecture") for file in (own, base))
    if mine != theirs:
        return f"it was made for the architecture {mine!r}, and the model's is {theirs!r}"
    return next((why for name in own.shapes if (why := _misfit(name, own, base))), "")


def _misfit(name: str, own: Header, base: Header) -> str:
    """Why the tensor `name` of an adapter does not belong to the model `base`; empty when it may."""
    weight, _, side = name.rpartition(".lora_")
    wanted, found = base.shapes.get(weight), own.shapes[name]
    if wanted is None:
        return f"it adapts {weight or name!r}, which the model does not have"
    if len(wanted) != 2 or len(found) != 2:
        return ""  # experts are stacked, and llama.cpp knows better what fits them
    which, word = (0, "inputs") if side == "a" else (1, "outputs")
    if found[which] != wanted[which]:
        return f"it has {found[which]} {word} for {weight!r}, where the model has {wanted[which]}"
    return ""
