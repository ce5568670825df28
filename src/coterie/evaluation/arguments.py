"""Parts as a person writes them in one argument: `WHAT`, or `NAME=WHAT`; and mappings in braces."""

from __future__ import annotations

from coterie.errors import ConfigError


def named(text: str) -> tuple[str, str]:
    """The name before an equals sign, empty where there is none, and what stands behind it.

    In braces an equals sign is part of what is written there.
    """
    name, equals, what = text.partition("=")
    if not equals or name.lstrip().startswith("{"):
        return "", text.strip()
    return name.strip(), what.strip()


def is_mapping(what: str) -> bool:
    return what.startswith("{")


def mapping(what: str) -> dict[str, object]:
    """A mapping in braces, as YAML reads it. Raises `ConfigError` for what is none."""
    import yaml

    try:
        spec = yaml.safe_load(what)
    except yaml.YAMLError as error:
        raise ConfigError(f"{what!r} is no YAML: {error}") from error
    if not isinstance(spec, dict):
        raise ConfigError(f"{what!r} is no mapping with a kind and its settings")
    return spec
