"""Who stands for election: something was said, and JSON where JSON was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coterie import Answer, Committee, NoAnswer
from coterie.members.scripted import Reply, ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.protocols import Method
from coterie.run.fitness import unfit
from coterie.types import Completion, FailureKind, Request

SCHEMA = {"type": "object"}
JSON = '{"city": "Paris"}'
ASKED = replace(Request.of("Which city?"), schema=SCHEMA)


def call(arguments: Any, **more: Any) -> tuple[dict[str, Any], ...]:
    return ({"id": "1", "type": "function", "function": {"name": "look", "arguments": arguments}, **more},)


@pytest.mark.parametrize(
    ("written", "request_", "kind"),
    [
        (Completion("a", ""), Request.of("?"), FailureKind.EMPTY),
        (Completion("a", " \n"), ASKED, FailureKind.EMPTY),
        (Completion("a", "Paris"), Request.of("?"), None),
        (Completion("a", "Paris"), ASKED, FailureKind.MALFORMED),
        (Completion("a", JSON), ASKED, None),
        (Completion("a", JSON[:-1]), ASKED, FailureKind.MALFORMED),
        (Completion("a", "[" * 100_000), ASKED, FailureKind.MALFORMED),
        (Completion("a", "", tool_calls=call("{}")), ASKED, None),
        (Completion("a", "", tool_calls=call("")), Request.of("?"), None),
        (Completion("a", "", tool_calls=call('{"city":')), Request.of("?"), FailureKind.MALFORMED),
        (Completion("a", "", tool_calls=({"type": "custom", "custom": {"input": "{"}},)), Request.of("?"), None),
    ],
)
def test_what_cannot_be_a_candidate(written: Completion, request_: Request, kind: FailureKind | None) -> None:
    found = unfit(written, request_, alone=False)
    assert (found and found[1]) == kind


def test_of_a_member_alone_everything_is_passed_on() -> None:
    assert unfit(Completion("a", "Paris"), ASKED, alone=True) is None
    assert unfit(Completion("a", "", tool_calls=call("{")), ASKED, alone=True) is None
    assert unfit(Completion("a", ""), ASKED, alone=True) is not None


def ask(method: Method, *texts: str) -> Answer:
    members = [ScriptedMember(name, (Reply(text),)) for name, text in zip("abc", texts, strict=False)]
    return Committee(members, {"default": method}).ask(ASKED)


@pytest.mark.parametrize(
    "method", [PeerBlend(("a", "b"), final="select"), Vote(("a", "b", "c"))], ids=["blend", "vote"]
)
def test_prose_does_not_win_over_json(method: Method) -> None:
    for texts in ("The ball", JSON, "The ball"), (JSON, "The ball", "The ball"):
        answer = ask(method, *texts)
        assert answer.text == JSON
        assert {failure.kind for failure in answer.failures} == {FailureKind.MALFORMED}


def test_where_nobody_keeps_to_json_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="was to be JSON"):
        ask(Vote(("a", "b", "c")), "one", "two", "three")
