"""The JSON Schema of a configuration says what the loader says."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

from coterie import config, embedded, registry, schema
from coterie.errors import ConfigError
from coterie.registry import TAG, Room
from coterie.types import Json

SCHEMA = schema.of_config()

ISSUE: dict[str, Json] = {
    "members": {
        "smol": {"engine": "llama_cpp", "model": "smollm2-135m-instruct"},
        "mini": {
            "engine": "openai",
            "base_url": "http://127.0.0.1:8000/v1",
            "api_key": "${MINI_KEY:-none}",
            "model": "some-model",
            "timeout_s": 30,
        },
    },
    "methods": {
        "default": {"kind": "peer_blend", "members": ["smol", "mini"], "top_k": 2, "aggregator": "mini"},
        "vote": {"kind": "vote", "members": ["smol", "mini"]},
    },
    "limits": {"deadline_s": 60, "quorum": 2, "grace_s": 2, "max_calls": 50, "max_usd": 0.05},
}

MEMBER: dict[str, Json] = {"engine": "scripted", "replies": ["x"]}


def one(member: Json = MEMBER, **sections: Json) -> dict[str, Json]:
    return {"members": {"a": member}, **sections}


GOOD: dict[str, Json] = {
    "the issue's example": ISSUE,
    "the embedded committee": embedded.source(),
    "the embedded committee without Gemma": embedded.source(gemma=False),
    "one member": one(),
    "empty sections": one(methods=None, limits=None, cache=None),
    "cache": one(cache={"entries": 5, "ttl_s": 1.5}),
    "a price": one(MEMBER | {"price": {"input_usd": 1, "output_usd": 2.5}}),
    "variables for numbers": one(
        MEMBER | {"timeout_s": "${T:-30}", "price": {"input_usd": "${P:-1}", "output_usd": 2}},
        limits={"quorum": "${Q:-1}"},
    ),
    "a variable for a choice": one(MEMBER | {"ballot": "${B:-text}"}),
    "a judge by name": one(methods={"m": {"kind": "best_of", "members": ["a"], "judge": "length"}}),
    "a judge with settings": one(
        methods={"m": {"kind": "best_of", "members": ["a"], "judge": {"kind": "peer_review", "ballots": {"a": "text"}}}}
    ),
    "nothing kept, by a word": one(store={"keep_days": "off"}, gateway={"keep_runs_h": "off", "breaker": False}),
    "a key with bounds": one(
        gateway={"keys": [{"id": "me", "hash": "sha256:" + "0" * 64, "max_tokens": 9, "max_calls": 9, "per": "day"}]}
    ),
}

BAD: dict[str, Json] = {
    "no members": {"methods": {}},
    "empty members": {"members": {}},
    "another section": one(method={}),
    "no mapping": [],
    "an unknown engine": one({"engine": "openay", "base_url": "http://x", "model": "m"}),
    "no engine": one({"replies": ["x"]}),
    "a typo in a setting": one(MEMBER | {"timeouts": 3}),
    "a name in a member": one(MEMBER | {"name": "b"}),
    "a wrong type": one(MEMBER | {"timeout_s": "soon"}),
    "a flag for a number": one(MEMBER | {"timeout_s": True}),
    "a text for a list": one(MEMBER | {"replies": "x"}),
    "a typo in a price": one(MEMBER | {"price": {"input": 1, "output_usd": 1}}),
    "a typo in the limits": one(limits={"deadline": 1}),
    "a typo in the cache": one(cache={"entry": 1}),
    "an unknown method": one(methods={"m": {"kind": "votes", "members": ["a"]}}),
    "a method without members": one(methods={"m": {"kind": "vote"}}),
    "an unknown judge": one(methods={"m": {"kind": "best_of", "members": ["a"], "judge": "Length"}}),
    "an unknown ballot": one(MEMBER | {"ballot": "shout"}),
}


def errors(data: Json) -> list[Any]:
    jsonschema = pytest.importorskip("jsonschema", reason="the jsonschema package checks what the schema accepts")
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_what_the_loader_takes_the_schema_takes(data: Json) -> None:
    config.load(data, {})
    assert errors(data) == []


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_the_loader_refuses_the_schema_refuses(data: Json) -> None:
    with pytest.raises(ConfigError):
        config.loads(json.dumps(data), "some.json", {})
    assert errors(data) != []


def test_the_schema_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the jsonschema package checks the schema itself")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_plain_json_that_refers_to_methods_alone() -> None:
    """A method may hold another one, which no schema without references could say."""
    text = json.dumps(SCHEMA)
    assert json.loads(text) == SCHEMA
    assert set(re.findall(r'"\$ref": "([^"]+)"', text)) == {"#/$defs/method"}
    assert list(SCHEMA["$defs"]) == ["method"]
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_section_and_no_other_is_described() -> None:
    assert tuple(SCHEMA["properties"]) == config.KEYS
    assert SCHEMA["required"] == ["members"]
    assert SCHEMA["additionalProperties"] is False


def described(room: Room) -> Json:
    """What may stand in a section."""
    return SCHEMA["$defs"]["method"] if room == "methods" else SCHEMA["properties"][room]["additionalProperties"]


@pytest.mark.parametrize("room", [room for room in get_args(Room) if room in ("members", "methods")])
def test_every_part_is_described_with_its_docstring(room: Room) -> None:
    parts = described(room)["anyOf"]
    assert [part["properties"][TAG[room]]["const"] for part in parts] == sorted(registry.known(room))
    assert all(part["description"] and part["required"][0] == TAG[room] for part in parts)
    assert all(part["additionalProperties"] is False for part in parts)


def test_what_only_code_can_set_is_not_described() -> None:
    text = json.dumps(SCHEMA["properties"]["members"])
    assert '"script"' not in text
    assert '"distributions"' not in text


def test_a_judge_is_a_name_or_an_object() -> None:
    [best_of] = [part for part in described("methods")["anyOf"] if part["properties"]["kind"]["const"] == "best_of"]
    names, *objects = best_of["properties"]["judge"]["anyOf"]
    assert names == {"enum": sorted(registry.known("judges"))}
    assert [judge["properties"]["kind"]["const"] for judge in objects] == sorted(registry.known("judges"))
