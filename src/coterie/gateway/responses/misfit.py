"""What a client of the Responses API is told of a field that does not fit: the names are those it used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from coterie.gateway.refusal import Refusal
from coterie.types import Json

_HERE: Mapping[str, str] = {
    "messages": "input",
    "response_format": "text.format",
    "logprobs": "include",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
"""What behind the interfaces goes by Chat Completions' name."""


def misfit(error: ValidationError, *where: str | int) -> Refusal:
    """The refusal of the first field that does not fit, inside of what stands at `where`. It quotes no value."""
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = [step for step in first["loc"] if isinstance(step, int) or (step.isidentifier() and step != "str")]
    param = path(*where, *steps)
    code = "missing_parameter" if first["type"] == "missing" else "invalid_value"
    return Refusal(400, f"{param}: {first['msg']}", code=code, param=param)


def path(*steps: str | int) -> str:
    """``input[2].content``."""
    said = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in steps)
    return said.removeprefix(".")


def error_body(refusal: Refusal, _: str) -> Json:
    """OpenAI's body, its `param` by the name that the field has in the Responses API."""
    named = (refusal.param or "").partition("[")[0]
    if named not in _HERE:
        return refusal.body
    return {"error": {**refusal.body["error"], "param": _HERE[named]}}
