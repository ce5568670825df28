"""``coterie methods``: how the committee can answer."""

from __future__ import annotations

import inspect

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption
from coterie.types import Json


def methods(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the configured methods, and the kinds there are."""
    from coterie import registry, specs
    from coterie.cli import sources

    configured = {name: specs.describe("methods", method) for name, method in sources.load(config).methods.items()}
    kinds = {kind: _first_line(registry.find("methods", kind)) for kind in sorted(registry.known("methods"))}
    if json:
        screen.print_json({"methods": configured, "kinds": kinds})
        return
    rows = [(name, spec["kind"], ", ".join(_members(spec))) for name, spec in configured.items()]
    screen.show(
        [
            screen.table(("method", "kind", "members"), rows),
            "",
            screen.table(("kind", "its answer"), kinds.items()),
        ]
    )


def _members(spec: Json) -> list[str]:
    """Who writes: a router's members are those of the method behind it, where it names none."""
    return list(spec["members"] or (spec.get("then") or {}).get("members", ()))


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").splitlines()[0]
