"""The JSON Schema of a configuration, made from the parts themselves, for editors and checks."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from coterie import registry
from coterie.registry import TAG, Room
from coterie.specs import room_of, settable
from coterie.store import Database
from coterie.types import Json, Limits

VARIABLE: dict[str, Json] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
"""A value that comes from the environment."""


METHOD: dict[str, Json] = {"$ref": "#/$defs/method"}
"""A method, which may hold another one."""


def of_config() -> dict[str, Json]:
    """The schema of a whole configuration file."""
    from coterie.config import CacheSettings

    store = _switchable(_object(Database))
    properties = {
        "members": {"type": "object", "additionalProperties": _one_of("members"), "minProperties": 1},
        "methods": _or_empty({"type": "object", "additionalProperties": METHOD}),
        "limits": _or_empty(_object(Limits)),
        "cache": _or_empty(_object(CacheSettings)),
        "store": _or_empty(store),
        "gateway": _or_empty(_gateway()),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Coterie configuration",
        "type": "object",
        "properties": properties,
        "required": ["members"],
        "additionalProperties": False,
        "$defs": {"method": _one_of("methods")},
    }


def _gateway() -> dict[str, Json]:
    from coterie.config import ApiKey, EmbeddingEndpoint, GatewaySettings

    schema = _object(GatewaySettings, leave_out=("embeddings",))
    schema["properties"]["embeddings"] = {"type": "object", "additionalProperties": _object(EmbeddingEndpoint)}
    schema["properties"]["keys"] = {"type": "array", "items": _object(ApiKey)}
    return _switchable(schema)


def _switchable(section: dict[str, Json]) -> dict[str, Json]:
    """`section` with the word that switches a setting off, where it can be."""
    from coterie.config import SWITCHES

    for name in SWITCHES & section["properties"].keys():
        section["properties"][name] = {"anyOf": [section["properties"][name], {"enum": ["off", False]}]}
    return section


def _or_empty(section: dict[str, Json]) -> dict[str, Json]:
    """A section whose heading may stand alone."""
    return {**section, "type": [section["type"], "null"]}


def _one_of(room: Room) -> dict[str, Json]:
    """Any part of a room: an object with its name and settings; but of members and methods, its name alone as well."""
    objects = [_part(room, name) for name in sorted(registry.known(room))]
    if room not in ("members", "methods"):
        return {"anyOf": [{"enum": sorted(registry.known(room))}, *objects]}
    return {"anyOf": objects}


def _part(room: Room, name: str) -> dict[str, Json]:
    schema = _object(registry.find(room, name), leave_out=("name",) if room == "members" else ())
    schema["properties"] = {TAG[room]: {"const": name}, **schema["properties"]}
    schema["required"] = [TAG[room], *schema["required"]]
    return schema


def _object(cls: type, leave_out: tuple[str, ...] = ()) -> dict[str, Json]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = {name: hint for name, hint in settable(cls) if name not in leave_out}
    required = [
        name
        for name in hints
        if fields[name].default is dataclasses.MISSING and fields[name].default_factory is dataclasses.MISSING
    ]
    return {
        "type": "object",
        "description": inspect.getdoc(cls) or "",
        "properties": {name: _field(hint) for name, hint in hints.items()},
        "required": required,
        "additionalProperties": False,
    }


def _field(hint: Any) -> dict[str, Json]:
    from pydantic import TypeAdapter

    room, optional = room_of(hint)
    if room is not None:
        part = {"anyOf": [METHOD]} if room == "methods" else _one_of(room)
        return {"anyOf": [*part["anyOf"], {"type": "null"}]} if optional else part
    schema: dict[str, Json] = TypeAdapter(hint).json_schema()
    plain: dict[str, Json] = _inlined(schema, schema.pop("$defs", {}))
    return plain


def _inlined(schema: Json, definitions: dict[str, Json]) -> Any:
    """`schema` with references replaced by what they name, and a variable allowed wherever a plain value is."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    plain = {key: _inlined(value, definitions) for key, value in schema.items()}
    if plain.get("type") in ("number", "integer", "boolean") or isinstance(plain.get("enum"), list):
        return {"anyOf": [plain, VARIABLE]}
    if plain.get("type") == "object" and isinstance(plain.get("properties"), dict):
        plain.setdefault("additionalProperties", False)
    return plain
