"""Schemas that a local member does not take: told at once, before a grammar is made of them."""

from __future__ import annotations

import pytest

from coterie.errors import MemberError
from coterie.members.llama_cpp import schema_size
from coterie.run.breaker import Breaker
from coterie.types import FailureKind, Json

MANY = 10**9
BOMBS: tuple[Json, ...] = (
    {"type": "array", "items": {"type": "integer"}, "minItems": MANY, "maxItems": MANY},
    {"type": "string", "minLength": MANY},
    {"type": "string", "maxLength": 1e300},
    {"type": "string", "pattern": "^a{999999999}$"},
    {"type": "string", "pattern": "^((a{200}){200})$"},
    {"properties": {"default": {"type": "array", "items": {"type": "null"}, "maxItems": MANY}}},
    {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": MANY}]},
    {"enum": ["x" * 20] * 20_000},
    {"const": "x" * 200_000},
)
WRONG: tuple[Json, ...] = ({"type": "banana"}, {"enum": []}, {"$ref": "#/$defs/none"}, {"properties": 3})
FINE: tuple[Json, ...] = (
    {},
    {"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 20},
    {"const": {"type": "banana", "minItems": MANY}},
    {"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": 1000}},
    {"type": "array", "maxItems": 300, "items": {"type": "array", "maxItems": 300, "items": {"type": "null"}}},
    {"$defs": {"a/b": {"type": "null"}, "c~": {"anyOf": [{"type": "null"}]}}, "anyOf": [{"$ref": "#/$defs/a~1b"}]},
    {"$defs": {"c~": {"anyOf": [{"type": "null"}]}}, "$ref": "#/$defs/c~0/anyOf/0"},
    {"type": "string", "maxLength": float("nan")},
    {"properties": {"type": {"type": "string"}, "minItems": {"type": "integer"}}},
    {"$defs": {"a": {"type": ["string", "null"]}}, "$ref": "#/$defs/a"},
)


@pytest.mark.parametrize("schema", [*BOMBS, *WRONG], ids=lambda schema: str(schema)[:40])
def test_a_schema_that_cannot_be_a_grammar_is_the_request_s_fault(schema: Json) -> None:
    breaker = Breaker(failures=1)
    with pytest.raises(MemberError, match="response_format") as caught:
        schema_size.check(schema)
    assert (caught.value.kind, caught.value.status) == (FailureKind.HTTP, 400)
    assert not caught.value.retryable
    breaker.heard(breaker.enter(), caught.value)
    assert breaker.state == "closed"


@pytest.mark.parametrize("schema", FINE, ids=lambda schema: str(schema)[:40])
def test_an_ordinary_schema_passes(schema: Json) -> None:
    schema_size.check(schema)
