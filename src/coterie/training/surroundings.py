"""What has to be there, or must not be, before anything is trained."""

from __future__ import annotations

import os
from importlib.util import find_spec

from coterie.errors import ConfigError, MissingExtra

NEEDED = ("torch", "transformers", "accelerate")


def check() -> None:
    """Raises `MissingExtra` without the extra `train`, `ConfigError` where a launcher started several processes."""
    for module in NEEDED:
        if find_spec(module) is None:
            raise MissingExtra("training", "train", module)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("training is done by one process on one device; start it without a launcher")
