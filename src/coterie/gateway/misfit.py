"""The refusal of a body in which a field does not fit: it names the field, and quotes nothing that stands in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from coterie.gateway.refusal import Refusal
from coterie.types import Json

LONGEST_TAG = 60


def misfit(error: ValidationError, tags: frozenset[str] = frozenset()) -> Refusal:
    """`tags` are the names of types that a value says itself to be of."""
    errors: list[Any] = error.errors(include_url=False, include_input=False)
    # Of a value that may be of several types every one complains; who got furthest says what is wrong.
    found = max(errors, key=lambda one: len(one["loc"]))
    kind, said = found["type"], found["msg"]
    if kind == "json_invalid":
        return Refusal(400, f"the body is no JSON: {said}", code="invalid_json")
    if kind == "union_tag_invalid":
        tag, taken = found["ctx"]["tag"], found["ctx"]["expected_tags"]
        # A name of a type is no content; anything else that stands there may be.
        named = repr(tag) if tag.isidentifier() and len(tag) <= LONGEST_TAG else "that type"
        said = f"{named} is not taken here; what is taken: {taken}"
    param = _param(found["loc"], tags)
    code = "missing_parameter" if kind == "missing" else "invalid_value"
    return Refusal(400, f"{param}: {said}" if param else said, code=code, param=param or None)


def check_finite(asked: BaseModel) -> None:
    """Raises `Refusal` for a number that JSON has no word for: ``NaN``, ``Infinity``, or ``1e999``, which is that.

    A field that nobody here knows has no type that would refuse it, and is passed on to endpoints in JSON.
    """
    for name in asked.model_fields_set:
        if (found := _endless(getattr(asked, name))) is not None:
            param = _param((name, *found), frozenset())
            raise Refusal(400, f"{param}: Input should be a finite number", code="invalid_value", param=param or None)


def _endless(value: Json | BaseModel) -> tuple[str | int, ...] | None:
    """The steps to the first number in `value` that is not finite."""
    if isinstance(value, float):
        return None if math.isfinite(value) else ()
    if isinstance(value, BaseModel):
        value = value.__dict__
    if isinstance(value, dict):
        return _first_endless(value.items())
    return _first_endless(enumerate(value)) if isinstance(value, list) else None


def _first_endless(items: Iterable[tuple[str | int, Json]]) -> tuple[str | int, ...] | None:
    for step, item in items:
        if not isinstance(item, (str, int)) and (found := _endless(item)) is not None:
            return step, *found
    return None


def _param(loc: Sequence[str | int], tags: frozenset[str]) -> str:
    """``messages[0].content[1].text``: the steps, without those that name one of several types."""
    param, before = "", None
    for step in loc:
        if isinstance(step, int):
            param += f"[{step}]"
        elif step.isidentifier() and step != "str" and not (step in tags and _is_tagged(before)):
            param += f".{step[:80]}" if param else step[:80]
        before = step
    return param


def _is_tagged(step: str | int | None) -> bool:
    """True for what has its type named in the next step: the items of a list, and a picture's source."""
    return isinstance(step, int) or step == "source"
