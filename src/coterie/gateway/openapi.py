"""The OpenAPI document, made of the types that requests are read with.

To publish another operation is to describe it beside its reader and to name it here.
"""

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

from coterie._version import __version__
from coterie.gateway import (
    chat_operation,
    embeddings_operation,
    health_operations,
    messages_operation,
    models_operations,
    responses_operation,
    runs_operations,
)
from coterie.gateway.operation import (
    ANYWHERE,
    EVENTS,
    HEADERS,
    JSON,
    KEYED,
    ON_ALL,
    ON_REFUSALS,
    OPTIONAL_HEADERS,
    TRACING,
    WHY,
    Operation,
    Said,
)

if TYPE_CHECKING:
    from pydantic_core import core_schema

OPERATIONS: tuple[Operation, ...] = (
    chat_operation.OPERATION,
    responses_operation.OPERATION,
    messages_operation.OPERATION,
    embeddings_operation.OPERATION,
    *runs_operations.OPERATIONS,
    *models_operations.OPERATIONS,
    *health_operations.OPERATIONS,
    Operation(
        "get",
        "/openapi.json",
        "getDocument",
        "This document.",
        {200: Said("The document.", {JSON: dict[str, Any]})},
        parameters=TRACING,
        needs_key=False,
        tag="document",
    ),
)

ABOUT = """\
A committee of language models behind the interfaces that programs already speak. Every error has a body in its \
interface's form, and `x-should-retry`. A path with nothing behind it answers 404, another HTTP method at one of these \
405 with `allow`. A client that goes away ends what was begun for it."""

_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"


def document(keyed: bool = True) -> dict[str, Any]:
    """The OpenAPI document of a server that asks for keys, or of one that takes any and none.

    It is of version 3.2, the first that can say what the events of a stream are.
    """
    forms, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, forms)
    security: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
    return {
        "openapi": "3.2.0",
        "info": {
            "title": "Coterie gateway",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": security if keyed else [*security, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": dict(_refusals(forms)),
            "headers": {name: _header(name) for name in HEADERS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


# ---- operations -------------------------------------------------------------------------------

Forms = Mapping[int, dict[str, Any]]
"""The schema of a type, by the type's identity: not every type can be hashed."""


def _operation(operation: Operation, forms: Forms) -> dict[str, Any]:
    refused = _refused(operation)
    answers = {status: _answer(said, forms) for status, said in operation.answers.items()}
    refusals = {status: {"$ref": _RESPONSES + _name(operation, status)} for status in refused if status not in answers}
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(status): answer for status, answer in sorted((answers | refusals).items())},
    }
    if not operation.needs_key:
        told["security"] = []
    if operation.parameters:
        told["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.where == "path",
                "description": parameter.about,
                "schema": forms[id(parameter.form)],
            }
            for parameter in operation.parameters
        ]
    if operation.request is not None:
        content: dict[str, Any] = {"schema": forms[id(operation.request)]}
        if operation.examples:
            content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        told["requestBody"] = {"required": True, "content": {JSON: content}}
    return told


def _answer(said: Said, forms: Forms) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": forms[id(form)]} for media, form in said.forms.items()}
    if said.events:
        content[EVENTS] = {"itemSchema": _event(said, forms)}
    return {"description": said.about, "headers": _headers((*ON_ALL, *said.headers)), "content": content}


def _event(said: Said, forms: Forms) -> dict[str, Any]:
    """One event of a stream: its data is JSON in a string."""
    of_json = {"contentMediaType": JSON, "contentSchema": {"anyOf": [forms[id(event)] for event in said.events]}}
    data = of_json if said.last is None else {"anyOf": [of_json, {"const": said.last}]}
    fields = {"event": {"type": "string"}, "data": {"type": "string", **data}}
    return {"type": "object", "properties": fields, "required": ["data"]}


def _refused(operation: Operation) -> frozenset[int]:
    return operation.refusals | ANYWHERE | (KEYED if operation.needs_key else frozenset())


def _name(operation: Operation, status: int) -> str:
    """Interfaces with one form of errors share their refusals."""
    return f"{operation.error.__name__}{status}"


def _refusals(forms: Forms) -> Iterator[tuple[str, dict[str, Any]]]:
    for operation in OPERATIONS:
        for status in sorted(_refused(operation)):
            headers = _headers((*ON_ALL, *ON_REFUSALS.get(status, ("x-should-retry",))))
            content = {JSON: {"schema": forms[id(operation.error)]}}
            yield _name(operation, status), {"description": WHY[status], "headers": headers, "content": content}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    about, schema = HEADERS[name]
    return {"description": about, "required": name not in OPTIONAL_HEADERS, "schema": schema}


# ---- schemas ----------------------------------------------------------------------------------


def _types() -> Iterator[Any]:
    for operation in OPERATIONS:
        yield operation.error
        if operation.request is not None:
            yield operation.request
        for parameter in operation.parameters:
            yield parameter.form
        for said in operation.answers.values():
            yield from said.forms.values()
            yield from said.events


def _schemas() -> tuple[Forms, dict[str, Any]]:
    """The schema of every type that an operation names, and the components that these refer to."""
    types = {id(form): form for form in _types()}
    made, definitions = TypeAdapter.json_schemas(
        [(key, "validation", TypeAdapter(form)) for key, form in types.items()],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_Described,
    )
    components = definitions.get("$defs", {})
    names = {name: _short(name) for name in components}
    if len(set(names.values())) < len(names):
        raise ValueError(f"two types are published under one name: {sorted(names.values())}")
    renamed = json.loads(
        re.sub(
            rf'"{_SCHEMAS}([^"]+)"',
            lambda found: f'"{_SCHEMAS}{names[found[1]]}"',
            json.dumps([{str(key): schema for (key, _), schema in made.items()}, components]),
        )
    )
    forms = {int(key): schema for key, schema in renamed[0].items()}
    return forms, {names[name]: schema for name, schema in sorted(renamed[1].items())}


def _short(name: str) -> str:
    """Pydantic tells namesakes of two modules apart by the whole path; here the interface does:
    `coterie__gateway__chat_request__Tool` is `ChatTool`."""
    if "__" not in name:
        return name
    *_, module, kind = name.split("__")
    return module.partition("_")[0].capitalize() + kind


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
