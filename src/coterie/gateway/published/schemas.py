"""JSON Schema of the types that the published document names, made by pydantic, in words that stand in the source."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic_core import core_schema

COMPONENTS = "#/components/schemas/"

Forms = Mapping[int, dict[str, Any]]
"""The schema of a type, by the type's identity: not every type can be hashed."""


def made(named: Iterable[Any]) -> tuple[Forms, dict[str, Any]]:
    """The schema of every type in `named`, and the components that these refer to, by their names.

    Raises `ValueError` for two types that would have one name there.
    """
    types = {id(form): form for form in named}
    schemas, definitions = TypeAdapter.json_schemas(
        [(key, "validation", TypeAdapter(form)) for key, form in types.items()],
        ref_template=COMPONENTS + "{model}",
        schema_generator=_Described,
    )
    components = definitions.get("$defs", {})
    names = {name: _short(name) for name in components}
    if len(set(names.values())) < len(names):
        raise ValueError(f"two types are published under one name: {sorted(names.values())}")
    renamed = json.loads(
        re.sub(
            rf'"{COMPONENTS}([^"]+)"',
            lambda found: f'"{COMPONENTS}{names[found[1]]}"',
            json.dumps([{str(key): schema for (key, _), schema in schemas.items()}, components]),
        )
    )
    forms = {int(key): schema for key, schema in renamed[0].items()}
    return forms, {names[name]: schema for name, schema in sorted(renamed[1].items())}


def _short(name: str) -> str:
    """Pydantic tells namesakes of two modules apart by the whole path; here the interface does:
    `coterie__gateway__chat_request__Tool` is `ChatTool`."""
    if "__" not in name:
        return name
    _, _, interface, *_, kind = name.split("__")
    return interface.partition("_")[0].capitalize() + kind


class _Described(GenerateJsonSchema):
    """Describes fields with the docstrings below them, and leaves out titles, which would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        return _with_words(super().model_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> dict[str, Any]:
        return _with_words(super().typed_dict_schema(schema), schema.get("cls"))


def _with_words(made: dict[str, Any], cls: type | None) -> dict[str, Any]:
    fields = made.get("properties", {})
    for name, words in (_words(cls) if cls else {}).items():
        if name in fields:
            fields[name] = {**fields[name], "description": words}
    return made


def _words(cls: type) -> dict[str, str]:
    """The docstrings that stand below the fields of `cls` and of those it is made of."""
    words: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("coterie."):
            words |= dict(_own_words(base))
    return words


def _own_words(cls: type) -> Iterator[tuple[str, str]]:
    try:
        [source] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except OSError:  # the source is not there
        return
    for field, below in pairwise(getattr(source, "body", ())):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, inspect.cleandoc(said)
