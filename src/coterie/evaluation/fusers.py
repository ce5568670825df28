"""Fusers by name: a kind, a trained fuser's folder, or a configuration in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coterie import registry, shipped, specs, weights
from coterie.errors import ConfigError
from coterie.evaluation.arguments import is_mapping, mapping, named
from coterie.protocols import Fuser

ADAPTER = "adapter_config.json"


def fuser_of(text: str, base: str | None = None) -> tuple[str, Fuser, Path | None]:
    """A fuser, its name, and the folder of the trained fuser that it is, from what a person wrote.

    ``aggregate`` (a kind), ``runs/fuser`` or ``coterie/NAME`` (a trained fuser, of which an adapter stands on
    `base`, or on what it names itself), ``{kind: generative, member: smol}`` (a configuration), or ``mine=``
    before any of these, which names it. Raises `ConfigError`.
    """
    name, what = named(text)
    folder = None if is_mapping(what) else _folder(what)
    spec = _of_folder(what, folder, base) if folder else _spec(what)
    if base is not None and not spec.get("adapter"):
        raise ConfigError(f"a base is what an adapter stands on, and {what!r} is no adapter")
    shown = folder.name if folder else str(spec.get("member") or spec.get("model") or spec.get("kind", ""))
    return name or shown, specs.build("fusers", spec, ("fuser",)), folder


def _folder(what: str) -> Path | None:
    if what in registry.known("fusers"):
        return None
    place = shipped.folder(what) or Path(what).expanduser()
    return place if place.is_dir() else None


def _of_folder(what: str, folder: Path, base: str | None) -> dict[str, Any]:
    if not (folder / ADAPTER).is_file():
        return {"kind": "generative", "model": what}
    try:
        named = json.loads((folder / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{str(folder / ADAPTER)!r} is no adapter's configuration: {error}") from error
    if not (base or named):
        raise ConfigError(f"the adapter {what!r} does not say which model it stands on: name its base")
    return {"kind": "generative", "model": place_of(base or str(named)), "adapter": what}


def place_of(base: str) -> str:
    """The file of a model of the catalogue, which has to be pulled before; any other name as it is.

    Raises `ModelFilesError`.
    """
    return str(weights.path(base)) if base in weights.CATALOGUE else base


def _spec(what: str) -> dict[str, Any]:
    if what in registry.known("fusers"):
        return {"kind": what}
    if is_mapping(what):
        return mapping(what)
    kinds = ", ".join(sorted(registry.known("fusers")))
    raise ConfigError(f"{what!r} is no fuser and no trained fuser's folder; the fusers are {kinds}")
