"""From a YAML file to a committee's parts: the composition root.

JSON is YAML, so a JSON file is a valid configuration. ``${NAME}`` and ``${NAME:-default}`` are
replaced from the environment after the file is parsed, so that a value cannot bring structure in;
``$${`` is a literal ``${``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from coterie.errors import ConfigError
from coterie.protocols import MemberSpec, Method
from coterie.specs import Misfit, build, dotted, fill, shown
from coterie.store import Database
from coterie.types import Json, Limits, Secret

FILE_NAMES = ("coterie.yaml", "coterie.yml", "coterie.json")
"""Looked for in the working folder when no file is named."""

_VARIABLE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^}])*))?\}")

KEYS = ("members", "methods", "limits", "cache", "store", "gateway")


@dataclass(frozen=True)
class CacheSettings:
    """The response cache: equal requests to one member are answered from memory."""

    entries: int = 1000
    ttl_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.entries < 1 or not self.ttl_s > 0:
            raise ValueError(f"entries and ttl_s must be greater than 0, not {self.entries!r} and {self.ttl_s!r}")


@dataclass(frozen=True)
class BreakerSettings:
    """The circuit breaker: when a member is left alone because its endpoint is in trouble, and for how long.

    Each member has its own. It opens when within `window_s` so many as `failures` calls failed by the endpoint's
    fault, and half or more of all; after `rest_s` one call tries whether the endpoint is back.
    """

    failures: int = 5
    window_s: float = 30.0
    rest_s: float = 10.0

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"failures must be at least 1, not {self.failures!r}")
        for name in ("window_s", "rest_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of seconds greater than 0, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class ApiKey:
    """Who may ask the gateway, and for how much. `coterie keys create` makes one."""

    id: str
    """Names the key in accounts and conversations; it is no secret."""
    hash: str
    """``sha256:`` and the key's digest: the key itself stands nowhere."""
    models: tuple[str, ...] = ()
    """The models it may ask (``coterie/default``, a member's name); every model where left out."""
    max_usd: float | None = None
    """What its requests may cost together, as far as prices are known."""
    max_tokens: int | None = None
    """Input and output tokens of all its requests' calls together."""
    max_calls: int | None = None
    """Calls to members for all its requests together."""
    per: Literal["ever", "day", "month"] = "ever"
    """When the three begin anew, in UTC. Without a store they begin anew with the process, too."""
    requests_per_minute: int | None = None
    max_concurrency: int | None = None
    """Its requests under way at once, in one process; what comes on top of them waits, and then gets a 429."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", self.hash):
            raise ValueError("hash must be 'sha256:' and 64 hexadecimal digits, as 'coterie keys create' prints it")
        if not self.id.strip() or len(self.id) > 100:
            raise ValueError(f"id must be 1 to 100 characters, not {self.id!r:.120}")
        for name in ("max_usd", "max_tokens", "max_calls", "requests_per_minute", "max_concurrency"):
            bound = getattr(self, name)
            if bound is not None and not bound > 0:
                raise ValueError(f"{name} must be greater than 0, not {bound!r}")
        if self.per not in ("ever", "day", "month"):
            raise ValueError(f"per must be 'ever', 'day' or 'month', not {self.per!r}")


@dataclass(frozen=True)
class EmbeddingEndpoint:
    """An embedding model behind an OpenAI-compatible `base_url`, to which the gateway passes requests on."""

    base_url: str
    model: str
    """Its name there."""
    api_key: Secret = Secret("")
    price_usd: float | None = None
    """USD per million tokens. Left out, the cost is unknown, which is not free."""
    timeout_s: float = 60.0
    """Longest one request may take, retries included."""
    retries: int = 2
    """Further tries after 408, 409, 425, 429, 5xx and broken connections."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """Further HTTP headers. Not printed: they may hold secrets."""

    def __post_init__(self) -> None:
        place = urlsplit(self.base_url)
        if place.scheme not in ("http", "https") or "@" in place.netloc:
            shown = self.base_url.rsplit("@", 1)[-1]  # what stands before an @ is a password
            raise ValueError(f"base_url {shown!r} must begin with http:// or https://, and hold no password")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s must be a number of seconds greater than 0, not {self.timeout_s!r}")
        for name in ("retries", "price_usd"):
            if (value := getattr(self, name)) is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must not be negative, as {value!r} is")


@dataclass(frozen=True)
class GatewaySettings:
    """How `coterie serve` serves."""

    keys: tuple[ApiKey, ...] = ()
    """Without any, only this machine may ask, with any key."""
    embeddings: Mapping[str, EmbeddingEndpoint] = field(default_factory=dict, hash=False)
    """What answers `/v1/embeddings`, by the name under which it is asked."""
    keep_runs_h: float | None = 1.0
    """Hours in which a run's trace can be fetched by the key that made it; ``off`` keeps none. They lie in the store
    where that keeps texts, and otherwise in memory."""
    max_depth: int = 4
    """Gateways that may stand behind each other: one whose member is itself asks itself no more often."""
    max_requests: int = 512
    """Requests that ask members under way at once, in one process."""
    max_waiting: int = 512
    """Further ones that wait for a place, first come, first served."""
    max_wait_s: float = 5.0
    """So long one waits for a place before it gets a 503."""
    max_bodies_mib: int = 512
    """All bodies of requests together, from the first byte to the end of the answer."""
    breaker: BreakerSettings | None = BreakerSettings()
    """Leaves a member alone while its endpoint is in trouble; ``null`` asks it whatever happened."""
    log: Literal["off", "requests", "contents"] = "requests"
    """A line for each request on stderr, with its question and answer or without; warnings are always told."""
    telemetry: bool | None = None
    """Whether spans go to an OpenTelemetry collector; left out, where ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set."""
    metrics_keys: tuple[str, ...] = ()
    """The ids of the keys that may read ``/metrics``, which tells of all; every key where left out."""

    def __post_init__(self) -> None:
        if self.keep_runs_h is not None and not self.keep_runs_h > 0:
            raise ValueError(f"keep_runs_h must be greater than 0, not {self.keep_runs_h!r}; off keeps none")
        _check_bounds(self)
        ids = [key.id for key in self.keys]
        if len(set(ids)) < len(ids):
            raise ValueError(f"each key needs an id of its own, unlike {ids!r}")
        if self.log not in ("off", "requests", "contents"):
            raise ValueError(f"log must be 'off', 'requests' or 'contents', not {self.log!r}")
        if strangers := [id_ for id_ in self.metrics_keys if id_ not in ids]:
            raise ValueError(f"metrics_keys must be ids of keys, unlike {strangers!r}")


def _check_bounds(settings: GatewaySettings) -> None:
    """Raises `ValueError` for bounds under which nobody could be served."""
    for name, least in (("max_depth", 1), ("max_requests", 1), ("max_waiting", 0), ("max_bodies_mib", 32)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name} must be at least {least}, not {getattr(settings, name)!r}")
    if not 0 <= settings.max_wait_s < math.inf:
        raise ValueError(f"max_wait_s must be a number of seconds, not {settings.max_wait_s!r}")


@dataclass(frozen=True)
class Config:
    """What a committee is made of."""

    members: Mapping[str, MemberSpec]
    methods: Mapping[str, Method] = field(default_factory=dict)
    limits: Limits = Limits()  # noqa: RUF009
    cache: CacheSettings | None = None
    store: Database | None = None
    gateway: GatewaySettings = GatewaySettings()


def load(source: str | os.PathLike[str] | Mapping[str, Json], env: Mapping[str, str] | None = None) -> Config:
    """The configuration in a file or a mapping. Raises `ConfigError` that names the key, and the line of a file."""
    variables = os.environ if env is None else env
    if isinstance(source, Mapping):
        return _config(_substituted(source, variables, ()))
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {error}") from error
    return loads(text, str(path), variables)


def loads(text: str, name: str = "configuration", env: Mapping[str, str] | None = None) -> Config:
    """The configuration in a YAML text. Raises `ConfigError` that names the key and its line."""
    try:
        data = _json(text)
        if data is None:
            data = _yaml(text, name)
        return _config(_substituted(data, os.environ if env is None else env, ()))
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply, or refers to itself") from None
    except Misfit as misfit:
        raise ConfigError(f"{name}:{_line(text, misfit.path)}: {misfit}") from None


def _config(data: Json) -> Config:
    if not isinstance(data, Mapping):
        raise Misfit((), f"expected a mapping with {', '.join(KEYS)}, not {shown(data)}")
    for key in data:
        if key not in KEYS:
            raise Misfit((str(key),), f"there is no such section (allowed: {', '.join(KEYS)})")
    members = {
        str(name): build("members", member, ("members", str(name)), name=str(name))
        for name, member in _section(data, "members").items()
    }
    if not members:
        raise Misfit(("members",), "a committee needs at least one member")
    for name, member in members.items():
        check_member(member, ("members", name))
    methods = {
        str(name): build("methods", method, ("methods", str(name)))
        for name, method in _section(data, "methods").items()
    }
    for name, method in methods.items():
        _check_members(method, members, ("methods", name))
        check_pool(method, ("methods", name))
    limits = fill(Limits, _section(data, "limits"), ("limits",))
    cache = fill(CacheSettings, _section(data, "cache"), ("cache",)) if data.get("cache") is not None else None
    store = fill(Database, _switched(_section(data, "store")), ("store",)) if data.get("store") is not None else None
    gateway = _gateway(_section(data, "gateway"))
    for name in gateway.embeddings:
        if name in members or name.startswith("coterie/"):
            raise Misfit(("gateway", "embeddings", name), "a member or a method goes by this name, or may do so")
    return Config(members, methods, limits, cache, store, gateway)


def _gateway(section: Mapping[str, Json]) -> GatewaySettings:
    listed = section.get("keys") or []
    if not isinstance(listed, list | tuple):
        raise Misfit(("gateway", "keys"), f"expected a list of keys, not {type(listed).__name__}")  # it may be one
    keys = []
    for n, key in enumerate(listed):
        if not isinstance(key, Mapping):
            raise Misfit(("gateway", "keys", n), f"expected a mapping with id and hash, not {type(key).__name__}")
        keys.append(fill(ApiKey, key, ("gateway", "keys", n)))
    settings = {name: value for name, value in _switched(section).items() if name not in ("keys", "embeddings")}
    embeddings = _embeddings(section.get("embeddings") or {})
    made: GatewaySettings = fill(GatewaySettings, settings, ("gateway",), keys=tuple(keys), embeddings=embeddings)
    return made


def _embeddings(section: Json) -> Mapping[str, EmbeddingEndpoint]:
    path = ("gateway", "embeddings")
    if not isinstance(section, Mapping):
        raise Misfit(path, f"expected a mapping of names to endpoints, not {shown(section)}")
    for name, settings in section.items():
        if not isinstance(settings, Mapping):
            raise Misfit((*path, str(name)), f"expected a mapping with base_url and model, not {shown(settings)}")
    return {str(name): fill(EmbeddingEndpoint, settings, (*path, str(name))) for name, settings in section.items()}


SWITCHES = frozenset({"keep_days", "keep_runs_h", "breaker"})
"""Settings that are switched off by that word, and by ``null``, which stands behind it."""


def _switched(section: Mapping[str, Json]) -> Mapping[str, Json]:
    off = {name for name, value in section.items() if name in SWITCHES and (value == "off" or value is False)}
    return {name: None if name in off else value for name, value in section.items()}  # 0 is no switch


def _section(data: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    section = data.get(key)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise Misfit((key,), f"expected a mapping, not {shown(section)}")
    return section


def check_member(member: MemberSpec, path: Sequence[str] = ()) -> None:
    """Raises `ConfigError` for settings that no member can work with."""
    most = member.card.max_concurrency
    if not member.name.strip():
        raise Misfit(path, f"a member needs a name, not {member.name!r}")
    if not 0 < member.timeout_s < math.inf:
        raise Misfit((*path, "timeout_s"), f"must be a number of seconds greater than 0, not {member.timeout_s!r}")
    if member.retries < 0:
        raise Misfit((*path, "retries"), f"must not be negative, as {member.retries!r} is")
    if most is not None and most < 1:
        raise Misfit((*path, "max_concurrency"), f"must be at least 1, not {most!r}")


def check_pool(method: Method, path: Sequence[str] = ()) -> None:
    """Raises `ConfigError` for members among whom no policy could decide."""
    named: Sequence[str] = getattr(method, "members", ())
    if hasattr(method, "policy") and len(set(named)) < len(named):
        raise Misfit((*path, "members"), f"a policy takes each member once, unlike {list(named)!r}")


def _check_members(method: Method, members: Mapping[str, Any], path: Sequence[str]) -> None:
    if (then := getattr(method, "then", None)) is not None:
        _check_members(then, members, (*path, "then"))
    if not method.asks:
        raise Misfit((*path, "members"), f"it names no member; there are {', '.join(members)}")
    for name in method.asks:
        if name not in members:
            raise Misfit(path, f"{name!r} is not among the members: {', '.join(members)}")
    for name in getattr(getattr(method, "decision", None), "order", ()):
        if name not in method.asks:
            raise Misfit((*path, "decision"), f"order: {name!r} is not among those it asks: {', '.join(method.asks)}")
    for setting in ("ballots", "weights"):
        for name in getattr(getattr(method, "judge", None), setting, ()):
            if name not in members:
                raise Misfit(path, f"{setting}: {name!r} is not among the members: {', '.join(members)}")


# ---- environment ------------------------------------------------------------------------------


def _substituted(value: Json, env: Mapping[str, str], path: Sequence[str | int]) -> Json:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, env, path), value)
    if isinstance(value, Mapping):
        return {key: _substituted(item, env, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_substituted(item, env, (*path, n)) for n, item in enumerate(value)]
    return value


def _variable(match: re.Match[str], env: Mapping[str, str], path: Sequence[str | int]) -> str:
    escaped, name, default = match.groups()
    if escaped:
        return match.group()[1:]
    value = env.get(name)
    if value:
        return value
    if default is not None and "${" in default:
        raise Misfit(path, f"a default cannot hold a variable itself, as that of {name!r} does")
    if default is not None:
        return default
    raise Misfit(path, f"the environment variable {name!r} is not set; set it, or write ${{{name}:-default}}")


# ---- lines ------------------------------------------------------------------------------------


def _json(text: str) -> Json:
    """What a JSON text holds, ``None`` for one that is none: YAML's reader takes most of JSON, but no tabs."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None  # YAML's reader says what is wrong, and where


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """A JSON object. Raises `ValueError` for a key that stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _yaml(text: str, name: str) -> Json:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}{_syntax(error)}") from None  # its own text quotes the line, secrets included


def _loader() -> Any:
    """YAML's safe loader, except that a key given twice is an error and not a silent loss."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                key = str(self.construct_object(key_node, deep=True))
                if key in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
                seen.add(key)
            return super().construct_mapping(node, deep)

    # As in YAML 1.2: true and false are truth values; on, off, yes and no are words, a member's name for one.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")
    return Loader


def _syntax(error: Any) -> str:
    """Where and why a text is no YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    context = getattr(error, "context", None)
    return f"{line}: no YAML: {why}" + (f" {context}" if context else "")


def _line(text: str, path: Sequence[str | int]) -> int:
    """The line at which `path`, or as much of it as there is, stands."""
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # JSON that YAML's reader cannot take
        return 1
    line = node.start_mark.line if node else 0
    for step in path:
        found = next(((key, value) for key, value in _children(node) if key == str(step)), None)
        if found is None:
            break
        node = found[1][1]
        line = found[1][0].start_mark.line
    return line + 1


def _children(node: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What stands under a YAML node: its key, the node that marks its line, and the node itself."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, (key, value)) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(n), (value, value)) for n, value in enumerate(node.value))


__all__ = [
    "FILE_NAMES",
    "ApiKey",
    "BreakerSettings",
    "CacheSettings",
    "Config",
    "GatewaySettings",
    "dotted",
    "load",
    "loads",
]
