"""The OpenAPI document, made of the types that requests are read with.

To publish another operation is to describe it beside its reader and to name it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from coterie._version import __version__
from coterie.gateway.chat import operation as chat_operation
from coterie.gateway.embeddings import operation as embeddings_operation
from coterie.gateway.keeping import operations as runs_operations
from coterie.gateway.messages import operation as messages_operation
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
    Parameter,
    Said,
)
from coterie.gateway.published import health as health_operations
from coterie.gateway.published import models as models_operations
from coterie.gateway.published import schemas as openapi_schemas
from coterie.gateway.published.schemas import Forms
from coterie.gateway.responses import operation as responses_operation

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

_RESPONSES = "#/components/responses/"


def document(keyed: bool = True) -> dict[str, Any]:
    """The OpenAPI document of a server that asks for keys, or of one that takes any and none.

    It is of version 3.2, the first that can say what the events of a stream are.
    """
    forms, schemas = openapi_schemas.made(_types())
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
        told["parameters"] = [_parameter(parameter, forms) for parameter in operation.parameters]
    if operation.request is not None:
        told["requestBody"] = _body(operation, forms)
    return told


def _parameter(parameter: Parameter, forms: Forms) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.about,
        "schema": forms[id(parameter.form)],
    }


def _body(operation: Operation, forms: Forms) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": forms[id(operation.request)]}
    if operation.examples:
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
    return {"required": True, "content": {JSON: content}}


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
