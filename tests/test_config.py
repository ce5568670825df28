"""From a file to parts: the environment, messages that name line and key, and no secret in any of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from coterie import registry
from coterie.config import CacheSettings, Config, load, loads
from coterie.errors import ConfigError
from coterie.judges.length import Length
from coterie.members.llama_cpp import LlamaCppMember
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import ScriptedMember
from coterie.methods.best_of import BestOf
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.ranking import RULES
from coterie.types import Limits

KEY = "sk-very-private"
ENGINES = ", ".join(sorted(registry.known("members")))

ISSUE = """\
members:
  smol: {engine: llama_cpp, model: smollm2-135m-instruct}
  mini: {engine: openai, base_url: http://127.0.0.1:8000/v1, api_key: "${MINI_KEY:-none}",
         model: some-model, timeout_s: 30}
methods:
  default: {kind: peer_blend, members: [smol, mini], top_k: 2, aggregator: mini}
  vote: {kind: vote, members: [smol, mini]}
limits: {deadline_s: 60, quorum: 2, grace_s: 2, max_calls: 50, max_usd: 0.05}
"""

ONE = "members:\n  a: {engine: scripted, replies: [x]}\n"


def replies(text: str, env: Mapping[str, str] | None = None) -> str:
    """What a scripted member with this reply says."""
    member = loads(f"members: {{a: {{engine: scripted, replies: [{json.dumps(text)}]}}}}", env=env or {}).members["a"]
    assert isinstance(member, ScriptedMember)
    [reply] = member.replies
    assert isinstance(reply, str)
    return reply


def refused(text: str, env: Mapping[str, str] | None = None) -> str:
    """Why a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        loads(text, "c.yaml", env or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the shape --------------------------------------------------------------------------------


def test_the_example_of_the_issue() -> None:
    made = loads(ISSUE, env={"MINI_KEY": KEY})
    assert list(made.members) == ["smol", "mini"]
    smol, mini = made.members.values()
    assert repr(smol) == repr(LlamaCppMember("smol", "smollm2-135m-instruct"))
    assert isinstance(mini, OpenAIMember)
    assert (mini.name, mini.base_url, mini.model) == ("mini", "http://127.0.0.1:8000/v1", "some-model")
    assert (mini.api_key.reveal(), mini.timeout_s, mini.price) == (KEY, 30.0, None)
    assert made.methods == {
        "default": PeerBlend(("smol", "mini"), 2, "mini"),
        "vote": Vote(("smol", "mini")),
    }
    assert made.limits == Limits(60.0, 2, 2.0, 50, None, 0.05)
    assert made.cache is None
    assert "private" not in repr(made)


def test_the_key_of_the_example_defaults_to_none() -> None:
    mini = loads(ISSUE, env={}).members["mini"]
    assert isinstance(mini, OpenAIMember)
    assert mini.api_key.reveal() == "none"


def test_a_json_file_is_a_configuration(tmp_path: Path) -> None:
    data = {
        "members": {"a": {"engine": "scripted", "replies": ["x"]}},
        "methods": {"v": {"kind": "vote", "members": ["a"]}},
    }
    path = tmp_path / "coterie.json"
    path.write_text(json.dumps(data, indent="\t").replace("\t", "  "), encoding="utf-8")
    assert load(path) == load(str(path)) == load(data)
    assert load(path).methods == {"v": Vote(("a",))}


def test_a_mapping_is_a_configuration() -> None:
    made = load({"members": {"a": {"engine": "scripted", "replies": ("${X}",)}}}, {"X": "y"})
    assert made.members == {"a": ScriptedMember("a", ("y",))}


def test_one_member_is_enough() -> None:
    assert loads(ONE) == Config({"a": ScriptedMember("a", ("x",))}, {}, Limits(), None)


@pytest.mark.parametrize("sections", ["methods:\nlimits:\ncache:\n", "methods: {}\nlimits: {}\n", "methods: null\n"])
def test_empty_sections_are_as_good_as_none(sections: str) -> None:
    assert loads(ONE + sections) == loads(ONE)


def test_the_cache_has_settings() -> None:
    assert loads(ONE + "cache: {}\n").cache == CacheSettings(1000, 3600.0)
    assert loads(ONE + "cache: {entries: 5, ttl_s: 0.5}\n").cache == CacheSettings(5, 0.5)


def test_anchors_and_merge_keys_work() -> None:
    made = loads("members:\n  a: &base {engine: scripted, replies: [x], retries: 7}\n  b: {<<: *base, retries: 1}\n")
    assert made.members == {"a": ScriptedMember("a", ("x",), retries=7), "b": ScriptedMember("b", ("x",), retries=1)}


def test_the_same_member_under_two_names_is_two_members() -> None:
    made = loads("members: {a: {engine: scripted, replies: [x]}, b: {engine: scripted, replies: [x]}}")
    assert [member.name for member in made.members.values()] == ["a", "b"]


def test_parts_hold_parts() -> None:
    made = loads(ONE + "methods:\n  m: {kind: best_of, members: [a], judge: length}\n")
    assert made.methods == {"m": BestOf(("a",), Length())}


# ---- the environment --------------------------------------------------------------------------

ENV = {"SET": "value", "EMPTY": "", "ODD": 'a: [b]\n"{c}" ${SET} #d'}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${SET}", "value"),
        ("${SET:-other}", "value"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-http://h:1/x?y=z - w}", "http://h:1/x?y=z - w"),
        ("<${SET}|${NONE:-x}|${SET}>", "<value|x|value>"),
        ("$${SET}", "${SET}"),
        ("$${NONE:-x}", "${NONE:-x}"),
        ("$${NONE} ${SET}", "${NONE} value"),
        ("$SET $ {SET} ${} ${1X}", "$SET $ {SET} ${} ${1X}"),
        ("${ODD}", 'a: [b]\n"{c}" ${SET} #d'),
    ],
)
def test_variables_are_replaced_after_parsing(text: str, value: str) -> None:
    assert replies(text, ENV) == value


def test_numbers_can_come_from_the_environment() -> None:
    assert loads(ONE + 'limits: {quorum: "${Q}", deadline_s: "${D:-1.5}"}\n', env={"Q": "3"}).limits == Limits(1.5, 3)


def test_the_processs_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTERIE_TEST_REPLY", "from outside")
    [reply] = loads("members: {a: {engine: scripted, replies: ['${COTERIE_TEST_REPLY}']}}").members["a"].replies  # type: ignore[attr-defined]
    assert reply == "from outside"


@pytest.mark.parametrize("env", [{}, {"NONE": ""}])
def test_a_variable_that_is_not_set_is_named_with_its_place(env: Mapping[str, str]) -> None:
    text = "members:\n  a:\n    engine: scripted\n    replies:\n      - x\n      - y ${NONE}\n"
    assert refused(text, env) == (
        "c.yaml:6: members.a.replies[1]: the environment variable 'NONE' is not set; set it, or write ${NONE:-default}"
    )


def test_a_value_cannot_bring_structure_in() -> None:
    assert refused(ONE + 'methods: "${M}"\n', {"M": "{v: {kind: vote}}"}) == (
        "c.yaml:3: methods: expected a mapping, not '{v: {kind: vote}}'"
    )


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: configuration: expected a mapping with members, methods, limits, cache, store, gateway, not nothing"),
        (
            "just text",
            "1: configuration: expected a mapping with members, methods, limits, cache, store, gateway, "
            "not 'just text'",
        ),
        ("methods: {}", "1: members: a committee needs at least one member"),
        ("members: {}", "1: members: a committee needs at least one member"),
        ("members: five", "1: members: expected a mapping, not 'five'"),
        (
            ONE + "method:\n  x: 1\n",
            "3: method: there is no such section (allowed: members, methods, limits, cache, store, gateway)",
        ),
        (ONE + "limits: 5\n", "3: limits: expected a mapping, not 5"),
        (ONE + "cache: [1]\n", "3: cache: expected a mapping, not a list"),
        (
            "members:\n  a:\n    engine: scripted\n    reples: [x]\n",
            "4: members.a.reples: there is no such setting; did you mean 'replies'? (allowed: replies, likelihoods, "
            "vocabulary, latency_s, price, ballot, timeout_s, max_concurrency, retries, context_tokens)",
        ),
        (
            "members:\n  a:\n    replies: [x]\n",
            f"2: members.a: 'engine' is missing; it is one of {ENGINES}",
        ),
        (
            "members:\n  a:\n    engine: openay\n",
            f"3: members.a.engine: 'openay' is none of the members: {ENGINES}; did you mean 'openai'?",
        ),
        ("members:\n  a: {engine: [openai]}\n", "2: members.a.engine: should be a name, not a list"),
        ("members:\n  a: {engine: openai, base_url: http://x}\n", "2: members.a.model: this setting is required"),
        (
            "members:\n  a:\n    engine: scripted\n    replies: [x]\n    timeout_s: soon\n",
            "5: members.a.timeout_s: should be a valid number, unable to parse string as a number, not 'soon'",
        ),
        ("members:\n  a:\n    engine: scripted\n    replies:\n      - x\n      - y\n      - 3.5\n", None),
        (
            "members:\n  a:\n    engine: scripted\n    replies: [x]\n    price:\n      input_usd: 1\n      output: 2\n",
            "7: members.a.price.output: there is no such setting; did you mean 'output_usd'? "
            "(allowed: input_usd, output_usd, cached_input_usd)",
        ),
        (ONE + "methods:\n  v:\n    kind: vote\n", "4: methods.v.members: this setting is required"),
        (ONE + "methods:\n  v: {kind: vote, members: []}\n", "4: methods.v.members: it names no member; there are a"),
        (ONE + "methods:\n  v: {kind: vote, members: [a, b]}\n", "4: methods.v: 'b' is not among the members: a"),
        (
            ONE + "methods:\n  v: {kind: peer_blend, members: [a], aggregator: bob}\n",
            "4: methods.v: 'bob' is not among the members: a",
        ),
        (
            ONE + "methods:\n  v: {kind: best_of, members: [a], judge: {kind: peer_review, reviewers: [z]}}\n",
            "4: methods.v: 'z' is not among the members: a",
        ),
        (
            ONE
            + "methods:\n  v: {kind: route, members: [a], router: random,"
            + " decision: {kind: threshold, order: [a, z]}}\n",
            "4: methods.v.decision: order: 'z' is not among those it asks: a",
        ),
        (
            ONE + "methods:\n  v: {kind: peer_blend, members: [a], review: {ballots: {z: text}}}\n",
            "4: methods.v: ballots: 'z' is not among the members: a",
        ),
        (
            ONE + "methods:\n  v: {kind: peer_blend, members: [a], rule: bordo}\n",
            f"4: methods.v: there is no ranking rule 'bordo'; choose one of {', '.join(sorted(RULES))}",
        ),
        (
            ONE + "methods:\n  v: {kind: peer_blend, members: [a], top_k: 0}\n",
            "4: methods.v: top_k must be at least 1, not 0",
        ),
        (ONE + "limits:\n  deadline: 5\n", None),
        (ONE + "limits:\n  quorum: -2\n", "3: limits: quorum must be greater than 0, not -2"),
        (ONE + "limits:\n  max_usd: 0\n", "3: limits: max_usd must be greater than 0, not 0.0"),
        (ONE + "limits:\n  grace_s: -0.5\n", "3: limits: grace_s must not be negative, as -0.5 is"),
        (ONE + "limits:\n  quorum: 1.5\n", None),
        (ONE + "limits:\n  quorum: true\n", "4: limits.quorum: should be a number, not True"),
        (ONE + "limits:\n  deadline_s: .nan\n", "4: limits.deadline_s: should be a number, not nan"),
        (
            ONE + "limits:\n  max_tokens: lots\n",
            "4: limits.max_tokens: should be a valid integer, unable to parse string as an integer, not 'lots'",
        ),
        (ONE + "cache:\n  entries: 0\n", "3: cache: entries and ttl_s must be greater than 0, not 0 and 3600.0"),
    ],
)
def test_a_message_names_the_line_the_key_and_what_is_allowed(text: str, message: str | None) -> None:
    said = refused(text)
    if message is not None:
        assert said == f"c.yaml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "members:\n  a: {engine: scripted, replies: [x]}\n  a: {engine: scripted, replies: [y]}\n",
            ":3: no YAML: 'a' stands twice",
        ),
        (
            "members:\n  a:\n    engine: scripted\n    replies: [x]\n    replies: [y]\n",
            ":5: no YAML: 'replies' stands twice",
        ),
        (ONE + ONE, ":3: no YAML: 'members' stands twice"),
        (
            'members: {1: {engine: scripted, replies: [x]}, "1": {engine: scripted, replies: [y]}}',
            ":1: no YAML: '1' stands twice",
        ),
        ('{"members": {"a": {"engine": "scripted",\n "engine": "openai"}}}', ":2: no YAML: 'engine' stands twice"),
    ],
)
def test_a_key_given_twice_is_an_error_and_not_a_loss(text: str, message: str) -> None:
    assert refused(text) == f"c.yaml{message}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("members:\n\ta: x\n", ":2"),
        ("members: {a: [\n", ":2"),
        ("members:\n  a: 'x\n", ":3"),
        ("a: b: c\n", ":1"),
        (ONE + "---\nmembers: {}\n", ":3"),
        ("members:\n  ? [a, b]\n  : x\n", ":2"),
        ("members: !!python/object/apply:os.system [echo]\n", ":1"),
        ("members: *nowhere\n", ":1"),
        ("members: {a: '\x00'}\n", ""),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(text: str, line: str) -> None:
    assert refused(text).startswith(f"c.yaml{line}: no YAML: ")


@pytest.mark.parametrize("text", ["members: &m\n  a: *m\n", "members: " + "[" * 2000 + "]" * 2000])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    assert refused(text) == "c.yaml is nested too deeply, or refers to itself"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration '.*absent\.yaml': .*No such file"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"cannot read the configuration '.*binary\.yaml'"):
        load(tmp_path / "binary.yaml")


def test_a_file_is_named_in_every_message(tmp_path: Path) -> None:
    path = tmp_path / "coterie.yaml"
    path.write_text(ONE + "limits: {quorum: 0}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:3: limits: quorum must be greater than 0, not 0"


def test_a_mapping_has_keys_and_no_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"members": {"a": {"engine": "scripted", "replies": ["x"]}}, "limits": {"quorum": 0}}, {})
    assert str(caught.value) == "limits: quorum must be greater than 0, not 0"


@pytest.mark.parametrize(("entries", "ttl_s"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0), (1, math.nan)])
def test_a_cache_of_nothing_is_refused(entries: int, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="entries and ttl_s must be greater than 0"):
        CacheSettings(entries, ttl_s)


# ---- secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f'members:\n  mini: {{engine: openai, base_url: http://x, model: m, api_key: "{KEY}\n',
        f"members:\n  mini:\n    api_key: {KEY}\n\tmodel: x\n",
        f"members:\n  mini: {{api_key: {KEY}, }} x\n",
        f"members:\n  - name: mini\n    api_key: {KEY}\n",
        f"members:\n  mini:\n    - engine: openai\n    - api_key: {KEY}\n",
        f"- api_key: {KEY}\n",
        f"limits: [{{api_key: {KEY}}}]\n" + ONE,
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, api_key: {{value: {KEY}}}}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, api_key: [{KEY}]}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, headers: {KEY}}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, headers: [{KEY}]}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, extra: [{{api_key: {KEY}}}]}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, api_kye: {KEY}}}\n",
        f"members:\n  mini: {{engine: openai, base_url: http://x, api_key: {KEY}}}\n",
        f"members:\n  mini: {{engine: openay, api_key: {KEY}}}\n",
        f"members:\n  mini: {{api_key: {KEY}, api_key: {KEY}}}\n",
    ],
)
def test_no_error_quotes_a_secret(text: str) -> None:
    assert "private" not in refused(text)
    assert "private" not in refused(text.replace(KEY, "${KEY}"), {"KEY": KEY})


def test_an_error_does_not_carry_the_secret_along_with_it() -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f'members:\n  mini: {{api_key: "{KEY}\n')
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_configuration_does_not_print_its_secrets() -> None:
    made = loads(
        f"members:\n  mini: {{engine: openai, base_url: http://x, model: m, api_key: {KEY}, "
        f"headers: {{X-Key: {KEY}}}, proxy: 'http://u:{KEY}@p'}}\n"
    )
    assert "private" not in repr(made)
    assert "private" not in str(made)
    assert "private" not in f"{made.members['mini']}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("timeout_s: 0", "members.a.timeout_s"),
        ("timeout_s: -1", "members.a.timeout_s"),
        ("retries: -1", "members.a.retries"),
        ("max_concurrency: 0", "members.a.max_concurrency"),
    ],
)
def test_a_member_that_could_never_be_asked_is_refused(setting: str, said: str) -> None:
    text = f"members:\n  a:\n    engine: scripted\n    replies: [x]\n    {setting}\n"
    with pytest.raises(ConfigError) as caught:
        loads(text, "file.yaml", env={})
    assert said in str(caught.value)
    assert str(caught.value).startswith("file.yaml:5:")


def test_a_member_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        loads('members: {" ": {engine: scripted, replies: [x]}}', env={})


def test_a_default_that_holds_a_variable_is_refused_and_not_misread() -> None:
    with pytest.raises(ConfigError, match="cannot hold a variable"):
        loads('members: {a: {engine: scripted, replies: ["${A:-${B}}"]}}', env={"B": "b"})


def test_json_with_tabs_and_escaped_emoji_is_a_configuration_too() -> None:
    data = {"members": {"a": {"engine": "scripted", "replies": ["\U0001f600"]}}}
    made = loads(json.dumps(data, indent="\t"), env={})
    assert made.members["a"].replies == ("\U0001f600",)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="twice"):
        loads('{"members": {}, "members": {}}', env={})


@pytest.mark.parametrize("off", ["off", "false", "null"])
def test_what_is_kept_is_switched_off_by_a_word(off: str) -> None:
    text = (
        "members: {no: {engine: scripted, replies: [yes]}}\n"
        f"store: {{keep_days: {off}}}\ngateway: {{keep_runs_h: {off}, breaker: {off}, log: off}}\n"
    )
    made = loads(text)
    assert made.store is not None
    assert (made.store.keep_days, made.gateway.keep_runs_h, made.gateway.breaker) == (None, None, None)
    assert made.gateway.log == "off"
    assert list(made.members) == ["no"]


def test_truth_is_written_true_and_false() -> None:
    text = "members: {a: {engine: scripted, replies: [x]}}\nstore: {keep_texts: %s}\n"
    made = loads(text % "true")
    assert made.store is not None
    assert made.store.keep_texts is True
    again = loads(text % "yes").store
    assert again is not None
    assert again.keep_texts is True  # a word that stands where a truth value is due
