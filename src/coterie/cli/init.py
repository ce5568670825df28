"""``coterie init``: look around for models, and write a configuration to start from."""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError

PROBE_S = 1.5
"""How long a server on this machine may take to say that it is there."""

MOST = 4
"""Models of one server that are written into the file."""


@dataclass(frozen=True)
class Found:
    """A model that could sit in the committee."""

    name: str
    lines: tuple[str, ...]
    """Its settings, as lines of YAML."""
    where: str


@dataclass(frozen=True)
class Account:
    """A public endpoint that an environment variable holds a key for."""

    variable: str
    base_url: str
    model: str


ACCOUNTS = (
    Account("OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-4o-mini"),
    Account("OPENROUTER_API_KEY", "https://openrouter.ai/api/v1", "meta-llama/llama-3.1-8b-instruct"),
    Account("GROQ_API_KEY", "https://api.groq.com/openai/v1", "llama-3.1-8b-instant"),
    Account("MISTRAL_API_KEY", "https://api.mistral.ai/v1", "mistral-small-latest"),
    Account("DEEPSEEK_API_KEY", "https://api.deepseek.com/v1", "deepseek-chat"),
    Account("TOGETHER_API_KEY", "https://api.together.xyz/v1", "meta-llama/Llama-3.1-8B-Instruct-Turbo"),
)


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("coterie.yaml"),
    ollama: Annotated[str, typer.Option(help="Where an Ollama may run.")] = "http://127.0.0.1:11434",
    vllm: Annotated[str, typer.Option(help="Where a vLLM may run.")] = "http://127.0.0.1:8000",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: JsonOption = False,
) -> None:
    """Find a running Ollama or vLLM, keys in the environment and local models; write a commented configuration."""
    if path.exists() and not force:
        raise ConfigError(f"{str(path)!r} exists already; --force overwrites it")
    found = _distinct([*_served("ollama", ollama), *_served("vllm", vllm), *_accounts(), *_local()])
    try:
        path.write_text(_text(found), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error}") from error
    if json:
        screen.print_json({"path": str(path), "members": [{"name": m.name, "where": m.where} for m in found]})
        return
    for member in found:
        typer.echo(f"{member.name}: {member.where}")
    typer.echo(f"wrote {path}; try: coterie ask --config {path} 'What is the capital of France?'")


def _served(kind: str, address: str) -> list[Found]:
    """The models of an OpenAI-compatible server on this machine, if one answers."""
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    base_url = f"{address.rstrip('/')}/v1"
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"--{kind} {address!r} must begin with http:// or https://")
    try:
        with urlopen(Request(f"{base_url}/models"), timeout=PROBE_S) as response:  # noqa: S310 - checked above
            listed = json_format.load(response)["data"]
            models = [str(model["id"]) for model in listed]
    except (URLError, HTTPException, OSError, ValueError, KeyError, TypeError):
        return []
    return [
        _member(f"{kind}-{model}", f"{kind} at {address}", base_url=base_url, model=model) for model in models[:MOST]
    ]


def _distinct(found: Sequence[Found]) -> list[Found]:
    """`found` with a number after names that others have already: a file cannot hold a name twice."""
    distinct: dict[str, Found] = {}
    for member in found:
        name, n = member.name, 1
        while name in distinct:
            n += 1
            name = f"{member.name}-{n}"
        distinct[name] = replace(member, name=name)
    return list(distinct.values())


def _accounts() -> list[Found]:
    return [
        _member(
            account.variable.removesuffix("_API_KEY").lower(),
            f"key in ${account.variable}",
            base_url=account.base_url,
            api_key=f"${{{account.variable}}}",
            model=account.model,
        )
        for account in ACCOUNTS
        if os.environ.get(account.variable)
    ]


def _local() -> list[Found]:
    """SmolLM2 twice, which can always be had, and Gemma where its terms were accepted."""
    from coterie import embedded, weights

    accepted = weights.has_consent("gemma-3-270m")
    members = embedded.source(gemma=accepted)["members"]
    return [
        Found(name, tuple(f"{key}: {_quoted(value)}" for key, value in settings.items()), "runs on this machine")
        for name, settings in members.items()
    ]


def _member(name: str, where: str, **settings: str) -> Found:
    clean = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    lines = ("engine: openai", *(f"{key}: {_quoted(value)}" for key, value in settings.items()))
    return Found(clean, lines, where)


def _quoted(value: object) -> str:
    """A YAML scalar: JSON's quoting is YAML's too."""
    return json_format.dumps(value, ensure_ascii=False)


def _text(found: Sequence[Found]) -> str:
    names = [member.name for member in found]
    block = "\n".join(
        f"  {member.name}:  # {member.where}\n" + "\n".join(f"    {line}" for line in member.lines) for member in found
    )
    listed = json_format.dumps(names, ensure_ascii=False)
    top_k = max(1, min(3, len(names) - 1))
    return f"""\
# A committee of language models. Check this file with: coterie config check
# Every setting is described by: coterie config schema

members:
{block}
    # price: {{input_usd: 0.15, output_usd: 0.60}}   # USD per million tokens; left out, the cost is unknown
    # timeout_s: 30                                # longest one call may take, retries included

methods:
  # Everyone answers, everyone reviews the others, the aggregator writes the answer out of the best K.
  default:
    kind: peer_blend
    members: {listed}
    top_k: {top_k}
    aggregator: {_quoted(names[0])}
  # The answer that most members give.
  vote:
    kind: vote
    members: {listed}

limits:
  deadline_s: 120   # a request answers from what it has when this is over
  grace_s: 5        # what the others may still take when `quorum` members have answered
  # quorum: 2
  # max_calls: 50
  # max_usd: 0.05
"""
