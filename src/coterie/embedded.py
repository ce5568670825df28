"""The embedded committee: what answers when there is no configuration and no account."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from coterie.types import Json

GEMMA = "gemma-few-shot"
"""The member that is there only for those who accept Gemma's terms."""


def source(*, gemma: bool = True) -> dict[str, Json]:
    """The embedded configuration as plain data.

    Without Gemma two prompts of one model are left, and since K stays below the number of members,
    the ranking's first is the answer as it stands.
    """
    import yaml

    data: dict[str, Json] = yaml.safe_load(files("coterie").joinpath("default.yaml").read_text(encoding="utf-8"))
    return data if gemma else _without(GEMMA, data)


def _without(name: str, data: dict[str, Json]) -> dict[str, Json]:
    members = {key: value for key, value in data["members"].items() if key != name}
    methods: dict[str, Any] = {}
    for key, method in data["methods"].items():
        left = [member for member in method["members"] if member != name]
        smaller = {"top_k": min(method["top_k"], len(left) - 1)} if "top_k" in method else {}
        methods[key] = {**method, "members": left, **smaller}
    return {**data, "members": members, "methods": methods}
