"""Between parts and plain data, with errors that name the key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie import registry
from coterie.errors import ConfigError
from coterie.fusers.aggregate import Aggregate
from coterie.judges.agreement import Agreement
from coterie.judges.length import Length
from coterie.judges.peer_review import Form, PeerReview
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import ScriptedMember
from coterie.methods.best_of import BestOf
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.methods.vote import Vote
from coterie.policies import AlternateRanking, FullRanking
from coterie.ranking import RULES
from coterie.registry import Room
from coterie.specs import Misfit, build, describe, dotted, fill, settable, shown
from coterie.types import BallotMode, Json, Limits, Price, Secret

KEY = "sk-very-private"
JUDGES = ", ".join(sorted(registry.known("judges")))
ENGINES = ", ".join(sorted(registry.known("members")))


# ---- building ---------------------------------------------------------------------------------


def test_a_name_alone_is_a_part_with_its_defaults() -> None:
    assert build("judges", "agreement") == Agreement()
    assert build("judges", {"kind": "length"}) == Length()
    assert build("fusers", "aggregate") == Aggregate()


def test_settings_become_fields_of_their_types() -> None:
    made = build(
        "methods",
        {
            "kind": "peer_blend",
            "members": ["a", "b"],
            "top_k": "2",
            "aggregator": "a",
            "review": {"reviewers": ["b"], "ballots": {"b": "likelihood"}, "form": {"scale": [0, 9]}},
            "rule": "borda",
            "policy": {"kind": "alternate_ranking", "every": 3},
        },
    )
    review = PeerReview(("b",), ballots={"b": BallotMode.LIKELIHOOD}, form=Form(scale=(0, 9)))
    assert made == PeerBlend(("a", "b"), 2, "a", review=review, rule="borda", policy=AlternateRanking(3))
    assert type(made.members) is tuple
    assert type(made.top_k) is int


def test_parts_hold_parts() -> None:
    data = {
        "kind": "rank_and_fuse",
        "members": ["a"],
        "judge": {"kind": "peer_review", "max_tokens": 9},
        "fuser": {"kind": "aggregate", "member": "a"},
    }
    assert build("methods", data) == RankAndFuse(("a",), PeerReview(max_tokens=9), fuser=Aggregate("a"))
    assert build("methods", data | {"judge": "length"}).judge == Length()


def test_values_hold_values() -> None:
    made = build(
        "members", {"engine": "scripted", "replies": ["x"], "price": {"input_usd": 1, "output_usd": "2"}}, name="a"
    )
    assert made == ScriptedMember("a", ("x",), price=Price(1.0, 2.0))


@pytest.mark.parametrize(
    ("room", "data", "message"),
    [
        ("judges", None, "here: expected a mapping with 'kind', not nothing"),
        ("judges", 5, "here: expected a mapping with 'kind', not 5"),
        ("judges", [{"kind": KEY}], "here: expected a mapping with 'kind', not a list"),
        ("judges", {}, "here: 'kind' is missing; it is one of " + JUDGES),
        ("members", {"model": "x"}, "here: 'engine' is missing; it is one of " + ENGINES),
        (
            "judges",
            "lenght",
            f"here.kind: 'lenght' is none of the judges: {JUDGES}; did you mean 'length'?",
        ),
        ("judges", {"kind": ["length"]}, "here.kind: should be a name, not a list"),
        ("judges", {"kind": None}, "here.kind: should be a name, not nothing"),
        (
            "judges",
            {"kind": "peer_review", "max_token": 1},
            "here.max_token: there is no such setting; did you mean 'max_tokens'? "
            "(allowed: reviewers, reviewers_each, ballot, ballots, form, weights, less_unconditional, max_tokens)",
        ),
        ("judges", {"kind": "length", "by": "words"}, "here.by: there is no such setting (allowed: )"),
        (
            "judges",
            {"kind": "peer_review", "max_tokens": "many"},
            "here.max_tokens: should be a valid integer, unable to parse string as an integer, not 'many'",
        ),
        ("judges", {"kind": "peer_review", "max_tokens": True}, "here.max_tokens: should be a number, not True"),
        (
            "judges",
            {"kind": "peer_review", "max_tokens": [1]},
            "here.max_tokens: should be a valid integer, not a list",
        ),
        ("judges", {"kind": "peer_review", "reviewers": "ann"}, "here.reviewers: should be a valid tuple, not 'ann'"),
        (
            "judges",
            {"kind": "peer_review", "reviewers": ["a", 2]},
            "here.reviewers[1]: should be a valid string, not 2",
        ),
        (
            "judges",
            {"kind": "peer_review", "ballots": {"a": "shout"}},
            "here.ballots: should be 'text', 'pointwise', 'score_logprob' or 'likelihood', not 'shout'",
        ),
        (
            "judges",
            {"kind": "peer_review", "less_unconditional": "perhaps"},
            "here.less_unconditional: should be a valid boolean, unable to interpret input, not 'perhaps'",
        ),
        ("methods", {"kind": "vote"}, "here.members: this setting is required"),
        ("methods", {"kind": "peer_blend", "members": ["a"], "top_k": 0}, "here: top_k must be at least 1, not 0"),
        (
            "methods",
            {"kind": "best_of", "members": ["a"], "judge": {"kind": "nobody"}},
            f"here.judge.kind: 'nobody' is none of the judges: {JUDGES}",
        ),
        (
            "methods",
            {"kind": "best_of", "members": ["a"], "judge": "Length"},
            f"here.judge.kind: 'Length' is none of the judges: {JUDGES}; did you mean 'length'?",
        ),
        (
            "methods",
            {"kind": "best_of", "members": ["a"], "rule": "bordo"},
            f"here: there is no ranking rule 'bordo'; choose one of {', '.join(sorted(RULES))}",
        ),
        ("members", {"engine": "scripted"}, "here: the scripted member 'a' has neither replies nor a script"),
        ("members", {"engine": "scripted", "replies": ["x"], "name": "b"}, None),
        ("members", {"engine": "scripted", "script": "x"}, None),
        (
            "members",
            {"engine": "scripted", "replies": ["x"], "price": {"input_usd": 1}},
            "here.price.output_usd: this setting is required",
        ),
        (
            "members",
            {"engine": "scripted", "replies": ["x"], "timeout_s": float("nan")},
            "here.timeout_s: should be a number, not nan",
        ),
        (
            "members",
            {"engine": "scripted", "replies": ["x"], "timeout_s": "nan"},
            "here.timeout_s: should be a number, not 'nan'",
        ),
    ],
)
def test_what_does_not_fit_is_named(room: Room, data: Json, message: str | None) -> None:
    with pytest.raises(Misfit) as caught:
        build(room, data, ("here",), **({"name": "a"} if room == "members" else {}))
    if message is None:
        assert "there is no such setting" in str(caught.value)
    else:
        assert str(caught.value) == message
    assert isinstance(caught.value, ConfigError)
    assert caught.value.path[0] == "here"


def outcome(data: Mapping[str, Json]) -> str:
    """The member that `data` makes, or the error, as somebody sees it; what is in `extra` is the vendor's own."""
    try:
        return repr(replace(build("members", data, name="a"), extra={}))
    except Misfit as misfit:
        return str(misfit)


@pytest.mark.parametrize("value", [5, None, ["x"], {"x": KEY}, [KEY]])
@pytest.mark.parametrize("name", ["api_key", "headers", "proxy"])
def test_a_secret_setting_is_never_quoted(name: str, value: Json) -> None:
    data = {"engine": "openai", "base_url": "http://x", "model": "m", name: value}
    assert "private" not in outcome(data)


@pytest.mark.parametrize("name", ["extra", "price", "model", "timeout_s", "stream", "shots"])
def test_what_stands_in_a_list_or_mapping_is_not_quoted(name: str) -> None:
    for value in ([{"api_key": KEY}], {"api_key": KEY}):
        data = {"engine": "openai", "base_url": "http://x", "model": "m", name: value}
        assert "private" not in outcome(data)


def test_limits_are_filled_like_any_part() -> None:
    assert fill(Limits, {"deadline_s": 5, "quorum": 2}) == Limits(5.0, 2)
    with pytest.raises(Misfit, match="limits: quorum must be greater than 0, not -1"):
        fill(Limits, {"quorum": -1}, ("limits",))
    with pytest.raises(Misfit, match=r"limits\.quorums: there is no such setting; did you mean 'quorum'\?"):
        fill(Limits, {"quorums": 1}, ("limits",))


@dataclass(frozen=True)
class Odd:
    """A part with a setting of every kind."""

    number: float = 1.0
    flag: bool = False
    anything: Json = None
    code: Callable[[], int] | None = field(default=None, metadata={"code_only": True})
    hidden: str = field(default="", repr=False)
    table: Mapping[str, Json] = field(default_factory=dict)


def test_only_what_data_can_set_is_a_setting() -> None:
    assert [name for name, _ in settable(Odd)] == ["number", "flag", "anything", "hidden", "table"]


def test_yes_is_a_flag_and_no_number() -> None:
    assert fill(Odd, {"flag": True, "anything": True}) == Odd(flag=True, anything=True)
    with pytest.raises(Misfit, match="number: should be a number, not False"):
        fill(Odd, {"number": False})


# ---- describing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        Vote(("a", "b")),
        BestOf(
            ("a",),
            PeerReview(("b",), ballots={"b": BallotMode.TEXT}, less_unconditional=True, max_tokens=7),
            "copeland",
        ),
        RankAndFuse(("a", "b"), Length(), "mean", 1, Aggregate("c")),
        PeerBlend(("a", "b"), 2, "a", review=PeerReview(("b",), ballots={"a": BallotMode.LIKELIHOOD}), rule="borda"),
    ],
)
def test_a_method_is_plain_data_and_back(part: object) -> None:
    data = json.loads(json.dumps(describe("methods", part)))
    assert build("methods", data) == part


names = st.text("abc", min_size=1, max_size=3)


@settings(max_examples=40)
@given(
    part=st.builds(
        PeerBlend,
        st.lists(names, max_size=4).map(tuple),
        st.integers(1, 9),
        st.none() | names,
        review=st.builds(
            PeerReview,
            st.none() | st.lists(names, min_size=1, max_size=2, unique=True).map(tuple),
            st.none() | st.integers(1, 5),
            st.none() | st.sampled_from(BallotMode),
            st.dictionaries(names, st.sampled_from(BallotMode), max_size=2),
            st.builds(Form, st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)),
            st.dictionaries(names, st.floats(0, 1), max_size=2),
        ),
        rule=st.sampled_from(sorted(RULES)),
        policy=st.one_of(st.builds(AlternateRanking, st.integers(1, 4)), st.builds(FullRanking)),
    )
)
def test_any_peer_blend_is_plain_data_and_back(part: PeerBlend) -> None:
    assert build("methods", json.loads(json.dumps(describe("methods", part)))) == part


def test_a_description_holds_no_secret() -> None:
    member = OpenAIMember("a", "http://x", "m", Secret(KEY), headers={"X-Key": KEY}, proxy=f"http://u:{KEY}@p")
    described = describe("members", member)
    assert described["api_key"] == "***"
    assert "headers" not in described
    assert "proxy" not in described
    assert "private" not in json.dumps(described)
    assert "private" not in repr(member)
    assert "private" not in repr(member.card)


def test_what_only_code_can_set_is_shown_by_its_repr() -> None:
    def spell(*_: Any) -> str:
        return "x"

    assert "spell" in describe("members", ScriptedMember("a", script=spell))["script"]


# ---- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [((), "configuration"), (("a",), "a"), (("a", "b", 0, "c"), "a.b[0].c"), ((0,), "[0]"), (("a", 1, 2), "a[1][2]")],
)
def test_a_path_reads_like_python(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ({"a": KEY}, "a mapping"),
        ([KEY], "a list"),
        ((KEY,), "a list"),
        ("x", "'x'"),
        (1.5, "1.5"),
        (True, "True"),
    ],
)
def test_containers_are_not_quoted(value: Json, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 1000)) == 80
