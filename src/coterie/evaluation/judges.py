"""Judges by name: a kind, a trained ranker's folder, or a configuration in a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coterie import registry, shipped, specs
from coterie.errors import ConfigError
from coterie.evaluation.arguments import is_mapping, mapping, named
from coterie.protocols import Judge
from coterie.types import Json

CHECKPOINTS = {
    "pairranker": "pair_ranker",
    "pointwise": "pointwise",
    "simcls": "simcls",
    "summareranker": "summareranker",
}
"""Which judge opens a trained ranker, by the `ranker_type` of its configuration."""

PUBLISHED = {"ForSequenceClassification": "pointwise", "ForMaskedLM": "mlm_scoring"}
"""Which judge opens another published model, by how its architecture's name ends."""


def judge_of(text: str) -> tuple[str, Judge]:
    """A judge and its name, from what a person wrote.

    ``length`` (a kind), ``runs/ranker`` (a trained ranker's or a model's folder), ``coterie/NAME`` (a part that
    comes with this package), ``{kind: pair_ranker, model: runs/ranker}`` (a configuration), or ``mine=`` before
    any of these, which names it. Raises `ConfigError`.
    """
    name, what = named(text)
    spec = _spec(what)
    return name or _name_of(spec), specs.build("judges", spec, ("judge",))


def _spec(what: str) -> dict[str, object]:
    if is_mapping(what):
        return mapping(what)
    if what in registry.known("judges"):
        return {"kind": what}
    place = shipped.folder(what) or Path(what).expanduser()
    if what and place.is_dir():
        return {"kind": _kind_of(place), "model": what}
    raise ConfigError(
        f"{what!r} is no judge and no checkpoint's folder; the judges are {', '.join(sorted(registry.known('judges')))}"
    )


def _kind_of(folder: Path) -> str:
    """The kind of judge that opens a model's folder, by what its configuration says of it."""
    for file in (folder / "ranker_config.json", folder / "config.json"):
        if file.is_file():
            with _explained(file):
                return _kind(file, json.loads(file.read_text(encoding="utf-8")))
    raise ConfigError(f"{str(folder)!r} is no ranker's checkpoint: it holds neither ranker_config.json nor config.json")


def _kind(file: Path, settings: Mapping[str, Json]) -> str:
    said = settings.get("ranker_type")
    if said is not None and said not in CHECKPOINTS:
        raise ConfigError(f"{str(file)!r} holds a {said!r}; known are {', '.join(sorted(CHECKPOINTS))}")
    if said is not None:
        return CHECKPOINTS[said]
    for architecture in settings.get("architectures") or ():
        for ending, kind in PUBLISHED.items():
            if str(architecture).endswith(ending):
                return kind
    return "pair_ranker"  # PairRM-hf names neither a ranker's type nor an architecture that others have


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{str(file)!r} is no ranker's configuration: {error}") from error


def _name_of(spec: dict[str, object]) -> str:
    model = spec.get("model")
    return Path(str(model)).name or str(model) if model else str(spec.get("kind", ""))
