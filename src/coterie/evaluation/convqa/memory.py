"""How much memory the weights of a way of answering take."""

from __future__ import annotations

import os
from pathlib import Path

from coterie import shipped
from coterie.config import Config
from coterie.errors import ModelFilesError
from coterie.members.llama_cpp import LlamaCppMember
from coterie.protocols import Method
from coterie.weights import path


def weights_bytes(method: Method, config: Config) -> int | None:
    """Bytes of the weight files that the method's members and ranker are read from, each file once.

    Without caches and activations. ``None`` where one of them runs on another machine, or is not to be found.
    """
    files: dict[str, int] = {}
    for name in method.asks:
        member = config.members[name]
        if not isinstance(member, LlamaCppMember):
            return None
        try:
            file = path(member.model)
        except ModelFilesError:
            return None
        files[str(file)] = file.stat().st_size
    for place in _folders(method):
        files |= {str(file): file.stat().st_size for file in place.rglob("*") if file.suffix in WEIGHTS}
    return sum(files.values())


WEIGHTS = {".onnx", ".safetensors", ".bin", ".gguf"}


def _folders(method: Method) -> list[Path]:
    """Where the judge's and the fuser's own weights lie."""
    models = [getattr(getattr(method, part, None), "model", None) for part in ("judge", "fuser")]
    named = [model for model in models if isinstance(model, str) and model]
    places = [shipped.folder(model) or Path(os.path.expanduser(model)) for model in named]
    return [place for place in places if place.is_dir()]
