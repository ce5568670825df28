"""Who takes part in a comparison of routers: a recipe that is fitted, or a router that was trained already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from coterie.errors import ConfigError
from coterie.evaluation.arguments import is_mapping, mapping, named
from coterie.evaluation.routing.forecasts import Role
from coterie.routers.artifact import ROUTER, Artifact, opened
from coterie.routers.forecast import Recipe
from coterie.training.routing.kinds import RECIPES

BASELINES = ("length", "bag_of_words", "knn")
"""They stand in every table."""

SLOW = ("bert", "causal_llm", "forc", "hybrid")
"""Kinds that train a transformer: only where they are named."""

CONSTANT = ("always", "random")
"""Kinds that stand in every table anyway, as single members and as chance."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One of those compared: it has a recipe or an artifact."""

    name: str
    recipe: Recipe | None = None
    artifact: Artifact | None = None
    folder: Path | None = None
    """The artifact's."""
    role: Role = "router"

    @property
    def reads_vectors(self) -> bool:
        part = self.recipe if self.recipe is not None else self.artifact.fitted if self.artifact else None
        return part is not None and part.reads in ("vectors", "both")


def contender_of(text: str) -> Contender:
    """A contender, from what a person wrote.

    ``knn`` (a kind), ``{kind: knn, k: 40}`` (a kind with settings), ``runs/router`` (an artifact's folder), or
    ``mine=`` before any of these, which names it. Raises `ConfigError`.
    """
    name, what = named(text)
    place = Path(what).expanduser()
    if what not in RECIPES and (place / ROUTER).is_file():
        return Contender(name or place.name, artifact=opened(place), folder=place)
    spec = dict(mapping(what)) if is_mapping(what) else {"kind": what}
    kind = spec.pop("kind", None)
    role: Role = "baseline" if kind in BASELINES and not name else "router"
    return Contender(name or str(kind), recipe_of(kind, spec), role=role)


def lineup(wanted: Sequence[str]) -> list[Contender]:
    """Those wanted and the baselines; every kind that needs no training of a transformer, where none is wanted.

    Raises `ConfigError` where two have one name.
    """
    chosen = list(wanted) or [kind for kind in RECIPES if kind not in (*SLOW, *CONSTANT)]
    found = [contender_of(text) for text in chosen]
    there = {one.name for one in found}
    found += [contender_of(kind) for kind in BASELINES if kind in RECIPES and kind not in there]
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two routers are called {twice[0]!r}: name one of them, as in mine={twice[0]}")
    return found


def recipe_of(kind: object, settings: Mapping[str, object]) -> Recipe:
    """The recipe of that kind. Raises `ConfigError` for a kind or a setting that there is not."""
    if kind not in RECIPES:
        close = get_close_matches(str(kind), RECIPES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(
            f"{kind!r} is neither a kind of router ({', '.join(sorted(RECIPES))}) nor the folder of a trained one{hint}"
        )
    module, _, name = RECIPES[str(kind)].partition(":")
    cls = getattr(import_module(module), name)
    allowed = [field.name for field in fields(cls)]
    for setting in settings:
        if setting not in allowed:
            raise ConfigError(
                f"the router {kind!r} has no setting {setting!r} (allowed: {', '.join(allowed) or 'none'})"
            )
    return _built(str(kind), cls, settings)


def _built(kind: str, cls: Any, settings: Mapping[str, object]) -> Recipe:
    from pydantic import TypeAdapter, ValidationError

    try:
        return cast(Recipe, TypeAdapter(cls).validate_python(dict(settings)))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"the router {kind!r}: {where}: {first['msg']}") from None
