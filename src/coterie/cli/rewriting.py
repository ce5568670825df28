"""A configuration's text with one setting changed: comments, order and everything else stay as somebody wrote them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from coterie.errors import ConfigError
from coterie.types import Json


def with_setting(text: str, path: Sequence[str], value: Json) -> str:
    """The YAML or JSON text in which the mapping at `path[:-1]` holds `value` under `path[-1]`, written as JSON.

    Raises `ConfigError` where that cannot be done without touching anything else, such as for a mapping that stands
    behind an alias.
    """
    written = json.dumps(value, ensure_ascii=False)
    try:
        changed = _changed(text, path, written)
        if changed is not None and _read(changed) == _expected(_read(text), path, value):
            return changed
    except _yaml().YAMLError:
        pass
    raise ConfigError(f"{'.'.join(path)} cannot be changed in place; write it there yourself: {path[-1]}: {written}")


def _changed(text: str, path: Sequence[str], written: str) -> str | None:
    yaml = _yaml()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for step in path[:-1]:
        node = _child(node, step)
    if not isinstance(node, yaml.MappingNode):
        return None
    found = _child(node, path[-1])
    if found is not None:
        return text[: found.start_mark.index] + written + text[_end(found) :]
    return _inserted(text, node, path[-1], written)


def _inserted(text: str, mapping: Any, key: str, written: str) -> str | None:
    if mapping.flow_style:
        closing = mapping.end_mark.index - 1
        before = text[:closing].rstrip()
        comma = "" if before.endswith(("{", ",")) else ","
        return f"{before}{comma} {json.dumps(key)}: {written}{text[closing:]}"
    if not mapping.value:
        return None
    line_end = text.find("\n", _end(mapping))
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * mapping.value[0][0].start_mark.column
    return f"{text[:line_end]}\n{indent}{key}: {written}{text[line_end:]}"


def _child(node: Any, key: str) -> Any:
    pairs = node.value if isinstance(node, _yaml().MappingNode) else ()
    return next((value for found, value in pairs if found.value == key), None)


def _end(node: Any) -> int:
    """Where what a node says ends: a block's own mark stands after the comments that follow it."""
    if isinstance(node, _yaml().ScalarNode) or node.flow_style or not node.value:
        end: int = node.end_mark.index
        return end
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _expected(data: Any, path: Sequence[str], value: Json) -> Any:
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return data


def _read(text: str) -> Any:
    """What the text says, with an object of its own for every alias."""
    return json.loads(json.dumps(_yaml().safe_load(text), default=str))


def _yaml() -> Any:
    import yaml

    return yaml
