"""The models there are: each method as ``coterie/NAME``, each member under its own name, RouteLLM's router names."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from coterie import registry
from coterie.config import Config
from coterie.decisions import Threshold
from coterie.errors import ConfigError
from coterie.gateway.refusal import Refusal
from coterie.gateway.single import Single
from coterie.methods.route import Route
from coterie.protocols import Method, Router

PREFIX = "coterie/"

_ROUTELLM = re.compile(r"router-([a-z0-9_]+)-([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)")


@dataclass(frozen=True)
class Model:
    """What answers under a name."""

    id: str
    method: Method
    name: str
    """The method's name in traces, which feedback finds it by; the member's for a member."""

    @property
    def is_member(self) -> bool:
        return isinstance(self.method, Single)

    @property
    def one_writes(self) -> bool:
        """True where one member's answer is given as it stands: a member, or a route to one."""
        return self.is_member or (isinstance(self.method, Route) and self.method.then is None)


class Catalog:
    """The models of a configuration, by name."""

    def __init__(self, config: Config) -> None:
        methods = [Model(PREFIX + name, method, name) for name, method in config.methods.items()]
        members = [Model(name, Single(name), name) for name in config.members]
        self._members = config.members
        self._models = {model.id: model for model in (*members, *methods)}
        self._routes = {name: method for name, method in config.methods.items() if isinstance(method, Route)}
        self._kinds: dict[str, str] = {}

    def __iter__(self) -> Iterator[Model]:
        """Methods first, as they are what a committee is for."""
        return iter(sorted(self._models.values(), key=lambda model: model.is_member))

    def find(self, id_: str) -> Model:
        """Raises `Refusal` (404) that names the models there are."""
        if (model := self._models.get(id_)) is not None:
            return model
        if (match := _ROUTELLM.fullmatch(id_)) is not None:
            return self._routed(id_, match[1], float(match[2]))
        close = difflib.get_close_matches(id_, self._models, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise self._absent(f"there is no model {id_[:200]!r}{hint}")

    def _routed(self, id_: str, kind: str, threshold: float) -> Model:
        """The first route whose router is of that kind, its decision replaced by RouteLLM's at that threshold."""
        if not (math.isfinite(threshold) and 0 <= threshold <= 1):
            raise Refusal(400, f"{threshold!r} is no threshold: it is a win rate, 0 to 1", param="model")
        for name, route in self._routes.items():
            if self._kind(name, route.router) == kind:
                order = getattr(route.decision, "order", ()) or self._cheap_to_dear(id_, route)
                return Model(id_, replace(route, decision=Threshold(threshold, order)), name)
        raise self._absent(f"no configured route has a router of the kind {kind!r}")

    def _cheap_to_dear(self, id_: str, route: Route) -> tuple[str, ...]:
        """Members by price; nothing where the router itself knows what their answers have cost."""
        if registry.name_of("routers", route.router) == "trained":
            return ()
        prices = {name: self._members[name].card.price for name in route.pool}
        known = {name: price.input_usd + price.output_usd for name, price in prices.items() if price is not None}
        if unknown := [name for name in prices if name not in known]:
            said = (
                f"{id_} needs to know who is cheap and who is dear: the configuration gives no price of "
                f"{', '.join(unknown)}, and the route no threshold decision with an order"
            )
            raise Refusal(400, said, code="misconfigured", param="model")
        return tuple(sorted(known, key=known.__getitem__))

    def _kind(self, name: str, router: Router) -> str:
        """A trained router's kind stands in its artifact, which is looked into once; any other's is its name."""
        if name not in self._kinds:
            known = registry.name_of("routers", router)
            self._kinds[name] = _trained_kind(router) if known == "trained" else known
        return self._kinds[name]

    def _absent(self, said: str) -> Refusal:
        there = ", ".join(model.id for model in self)
        return Refusal(404, f"{said}; there are: {there}", code="model_not_found", param="model")


def _trained_kind(router: Router) -> str:
    """Empty where the artifact cannot be read, which whoever asks the method itself is told."""
    from coterie.routers.artifact import kind_of

    try:
        return kind_of(router.path)  # type: ignore[attr-defined]
    except ConfigError:
        return ""
