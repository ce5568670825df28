"""Encoders as plain data and back, for files that name one: no registry, no module loaded before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from coterie.errors import ConfigError
from coterie.protocols import Encoder
from coterie.types import Json, Secret

KINDS: Mapping[str, str] = {
    "endpoint": "coterie.encoders.endpoint:EndpointEncoder",
    "minilm": "coterie.encoders.minilm:MiniLM",
    "sentence_transformers": "coterie.encoders.sentence_transformers:SentenceTransformersEncoder",
    "static": "coterie.encoders.static:Static",
}
"""Our own, each with the place of its class."""


def default_encoder() -> Encoder:
    """What is taken where no encoder is named: `minilm`, whose module is loaded now and not before."""
    return from_plain("minilm")


def from_plain(data: Json) -> Encoder:
    """The encoder that `data` describes: its kind alone, or a mapping with `kind` and settings, as `to_plain` gives it.

    Raises `ConfigError` for what describes none.
    """
    if isinstance(data, str):
        data = {"kind": data}
    if not isinstance(data, Mapping):
        raise ConfigError(f"an encoder is a mapping with its 'kind' and settings, not {data!r:.80}")
    if not isinstance(data.get("kind"), str):
        raise ConfigError(f"an encoder's 'kind' is one of {', '.join(sorted(_places()))}, not {data.get('kind')!r:.80}")
    kind, settings = data["kind"], {name: value for name, value in data.items() if name != "kind"}
    cls = _class(kind)
    allowed = [field.name for field in fields(cls)]
    for name in settings:
        if name not in allowed:
            raise ConfigError(f"encoder {kind!r} has no setting {name!r} (allowed: {', '.join(allowed)})")
    return _built(kind, cls, settings)


def to_plain(encoder: Encoder) -> dict[str, Json]:
    """The encoder as plain data without its secrets. Raises `ConfigError` for one that has no name to be found by."""
    cls = type(encoder)
    here = f"{cls.__module__}:{cls.__qualname__}"
    kind = next((kind for kind, place in _places().items() if place == here), None)
    if kind is None:
        raise ConfigError(f"an encoder of {here!r} cannot be kept: no entry point of coterie.encoders names it")
    values = {field.name: getattr(encoder, field.name) for field in fields(cast(Any, encoder)) if field.repr}
    return {"kind": kind, **{name: _plain(value) for name, value in values.items() if not isinstance(value, Secret)}}


def _places() -> Mapping[str, str]:
    """All kinds, those of other packages included; none of them can replace one of ours."""
    return {**{point.name: point.value for point in entry_points(group="coterie.encoders")}, **KINDS}


def _class(kind: str) -> Any:
    places = _places()
    if kind not in places:
        close = get_close_matches(kind, places, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{kind!r} is no kind of encoder: {', '.join(sorted(places))}{hint}")
    module, _, name = places[kind].partition(":")
    return getattr(import_module(module), name)


def _built(kind: str, cls: Any, settings: Mapping[str, Json]) -> Encoder:
    from pydantic import TypeAdapter, ValidationError

    try:
        return cast(Encoder, TypeAdapter(cls).validate_python(settings))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"encoder {kind!r}: {where}: {first['msg']}") from None


def _plain(value: Any) -> Json:
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
        case _:
            return value
