"""What one request may change of its method and its limits: flat settings, and nothing that opens or asks more.

A part inside a method (a judge, a router) may name files and load weights, so it is the configuration's alone. So is
whom a method may ask: a request may narrow its members, and name an aggregator among those it asks anyway.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal

from coterie.errors import ConfigError
from coterie.gateway.refusal import Refusal
from coterie.gateway.single import Single
from coterie.protocols import Method
from coterie.specs import fill, settable
from coterie.types import Json, Limits

WHERE = "coterie.method"


IDLE: Mapping[str, frozenset[str]] = {
    "select": frozenset({"aggregator", "aggregator_instruction"}),
    "fuse": frozenset({"aggregator"}),
}
"""By how a request wants the answer made: configured settings that have nothing to do then, and are left out."""


def settings(method: Method) -> dict[str, Any]:
    """The settings of `method` that a request may give, with their types."""
    if isinstance(method, Single):
        return {}
    return {name: hint for name, hint in settable(type(method)) if _is_flat(hint)}


def schema(method: Method) -> dict[str, Json]:
    """The JSON Schema of `coterie` in a request to `method`."""
    from pydantic import TypeAdapter

    flat = {name: TypeAdapter(hint).json_schema() for name, hint in settings(method).items()}
    limits = {name: TypeAdapter(hint).json_schema() for name, hint in settable(Limits)}
    return {
        "type": "object",
        "properties": {
            "method": {"type": "object", "properties": flat, "additionalProperties": False},
            "limits": {"type": "object", "properties": limits, "additionalProperties": False},
            "conversation": {"type": "string", "minLength": 1, "maxLength": 200},
            "strict": {"type": "boolean"},
            "stream": {"enum": ["live", "settled"]},
        },
        "additionalProperties": False,
    }


def changed(method: Method, wanted: Mapping[str, Json]) -> Method:
    """`method` with other settings. Raises `Refusal` for a setting that does not fit, or that asks anybody else."""
    if not wanted:
        return method
    allowed = settings(method)
    for name in wanted:
        if name not in allowed:
            there = ", ".join(allowed) or "none"
            said = f"a request cannot set {name!r:.80} of this model; it can set: {there}"
            raise Refusal(400, said, code="unknown_parameter", param=f"{WHERE}.{name[:80]}")
    idle = IDLE.get(str(wanted.get("final")), frozenset())
    new = {*wanted, *idle}
    kept = {field.name: getattr(method, field.name) for field in _fields(method) if field.name not in new}
    try:
        made: Method = fill(type(method), wanted, ("coterie", "method"), **kept)
    except ConfigError as error:
        raise Refusal(400, str(error), code="invalid_value", param=WHERE) from None
    if others := sorted(set(made.asks) - set(method.asks)):
        raise Refusal(
            400, f"this model does not ask {', '.join(others)}; it asks {', '.join(method.asks)}", param=WHERE
        )
    return made


def tightened(limits: Limits, wanted: Mapping[str, Json]) -> Limits:
    """`limits`, each of them as wanted where that is tighter. Raises `Refusal`."""
    if not wanted:
        return limits
    try:
        asked = fill(Limits, wanted, ("coterie", "limits"))
    except ConfigError as error:
        raise Refusal(400, str(error), code="invalid_value", param="coterie.limits") from None
    return dataclasses.replace(
        limits, **{name: _tighter(name, getattr(limits, name), getattr(asked, name)) for name in wanted}
    )


def _tighter(name: str, own: Any, wanted: Any) -> Any:
    if name == "quorum" or own is None or wanted is None:  # a quorum is no bound on what is spent
        return own if wanted is None else wanted
    return min(own, wanted)


def _fields(part: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(part) if field.init)


_PLAIN = (str, int, float, bool, type(None))


def _is_flat(hint: Any) -> bool:
    """True for numbers, words, choices and lists of these."""
    if hint in _PLAIN or typing.get_origin(hint) is Literal:
        return True
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return all(_is_flat(option) for option in typing.get_args(hint))
    return bool(hint == tuple[str, ...])
