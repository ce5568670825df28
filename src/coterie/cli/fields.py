"""A dataclass' fields as a command's options, so that a method's hyper-parameters are written down once.

An option is called as its field, has its default, and is explained by the words that stand below the field.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal

import typer


def command(settings: type, run: Callable[..., None]) -> Callable[..., None]:
    """`run` as a command: its own options, and one for each field of `settings`, an instance of which it gets first.

    `run` is called as ``run(instance, **own)``. Raises what the dataclass raises for values that it refuses.
    """
    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    names = [field.name for field in dataclasses.fields(settings)]

    def called(**values: Any) -> None:
        chosen = {name: _plain(values.pop(name)) for name in names}
        run(settings(**chosen), **values)

    parameters = [*own, *_options(settings)]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    called.__doc__ = run.__doc__
    return called


def _options(settings: type) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(settings)
    said = explained(settings)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(field),
            annotation=Annotated[_typed(field.name, hints[field.name]), typer.Option(help=said.get(field.name))],
        )
        for field in dataclasses.fields(settings)
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        return inspect.Parameter.empty
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _typed(name: str, hint: Any) -> Any:
    """The type as Typer reads it: a choice is an enumeration, a tuple a list."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return StrEnum(name, {str(value): str(value) for value in inside})
    if origin is tuple:
        return list[_typed(name, inside[0])]  # type: ignore[misc]
    if origin in (typing.Union, UnionType):
        known = [part for part in inside if part is not type(None)]
        return _typed(name, known[0]) | None
    return hint


def _plain(value: Any) -> Any:
    """A value of `_typed`'s type as the field takes it."""
    if isinstance(value, Enum):
        return value.value
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


@cache
def explained(settings: type) -> Mapping[str, str]:
    """The words below each field, inherited ones included; none where the source is not there."""
    found: dict[str, str] = {}
    for cls in reversed(settings.__mro__[:-1]):
        for field, below in pairwise(_body(cls)):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(ast.Constant(str(words))):
                        found[field.target.id] = words
    return found


def _body(cls: type) -> list[ast.stmt]:
    try:
        tree = _parsed(inspect.getsourcefile(cls))
    except TypeError:
        return []
    return next((node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__), [])


@cache
def _parsed(file: str | None) -> ast.Module:
    try:
        with open(file or "", encoding="utf-8") as source:
            return ast.parse(source.read())
    except OSError:
        return ast.parse("")
