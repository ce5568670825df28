"""Whether a JSON Schema may be made a grammar: llama.cpp writes repetitions out, and nobody can stop it meanwhile.

A counted item takes about two kilobytes of a grammar, wherever it stands: what is repeated within a repetition has a
rule of its own, so counts add up. In a pattern groups of letters are copied, so there they multiply.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from coterie.errors import MemberError
from coterie.types import FailureKind, Json, Usage

MOST_RULES = 20_000
"""Nodes of a schema and their repetitions together: some fifty megabytes, and a third of a second."""

MOST_DEPTH = 100
MOST_TEXT_CHARS = 100_000
"""Of all names, constants and patterns together."""

TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are no schemas."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values hold schemas by names, which may be anything."""
_REPEATED = re.compile(r"\{(\d*),?(\d*)\}")


def refused(why: str) -> MemberError:
    """What is said of a request that this member cannot take: its fault, not the member's."""
    return MemberError(why, FailureKind.HTTP, status=400, usage=Usage())


def check(schema: Json) -> None:
    """Raises `MemberError` with status 400 for a schema that is none, or whose grammar would be too large."""
    _Walk(schema).schema(schema, 0)


class _Walk:
    """One pass over a schema, which ends at the first bound that it passes."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._rules = 0
        self._chars = 0

    def schema(self, node: Json, depth: int) -> None:
        """Count a schema, and what is in it."""
        if not isinstance(node, Mapping):
            self._data(node, depth)
            return
        self._check(node)
        self._count(1 + _repetitions(node), depth)
        for key, value in node.items():
            self._chars += len(key)
            if key in _DATA:
                self._data(value, depth + 1)
            elif key in _NAMED:
                self._named(key, value, depth + 1)
            elif isinstance(value, Mapping):
                self.schema(value, depth + 1)
            elif isinstance(value, Sequence) and not isinstance(value, str):
                for item in value:
                    self.schema(item, depth + 1)
            else:
                self._data(value, depth + 1)

    def _named(self, keyword: str, schemas: Json, depth: int) -> None:
        if not isinstance(schemas, Mapping):
            raise refused(f"response_format: {keyword} of the schema holds schemas by name")
        for name, schema in schemas.items():
            self._chars += len(name)
            self.schema(schema, depth + 1)

    def _data(self, value: Json, depth: int) -> None:
        """Count a value that a schema speaks of."""
        self._chars += len(value) if isinstance(value, str) else 0
        self._count(1, depth)
        if isinstance(value, Mapping):
            for key, item in value.items():
                self._chars += len(key)
                self._data(item, depth + 1)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for item in value:
                self._data(item, depth + 1)

    def _count(self, rules: int, depth: int) -> None:
        self._rules += rules
        if self._rules > MOST_RULES or depth > MOST_DEPTH or self._chars > MOST_TEXT_CHARS:
            raise refused(
                f"response_format: the schema is too large for a local model: at most {MOST_RULES} rules and "
                f"repetitions, {MOST_DEPTH} levels and {MOST_TEXT_CHARS} characters"
            )

    def _check(self, node: Mapping[str, Json]) -> None:
        kind, ref = node.get("type"), node.get("$ref")
        for one in kind if isinstance(kind, list) else (kind,):
            if isinstance(one, str) and one not in TYPES:
                raise refused(f"response_format: the schema has a type {one[:80]!r}, which JSON Schema does not know")
        if isinstance(ref, str) and ref.startswith("#"):
            self._find(ref)
        if node.get("enum") == []:
            raise refused("response_format: the schema has an empty enum, which nothing can satisfy")

    def _find(self, ref: str) -> None:
        found = self._root
        for step in [part for part in unquote(ref[1:]).split("/") if part]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise refused(f"response_format: the schema's $ref {ref[:80]!r} leads nowhere")


def _repetitions(node: Mapping[str, Json]) -> int:
    """How often what stands in a schema is written out, at least."""
    counts = [node.get(key) for key in _COUNTS]
    most = sum(_bounded(count) for count in counts if isinstance(count, int | float) and not math.isnan(count))
    pattern = node.get("pattern")
    if not isinstance(pattern, str):
        return most
    product = 1
    for found in _REPEATED.findall(pattern):
        product = _bounded(product * max(_bounded(int(n[:9])) for n in ("1", *found) if n))
    return most + product


def _bounded(count: float) -> int:
    return int(max(0, min(count, MOST_RULES + 1)))
