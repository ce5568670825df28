"""All reviews of a run begin alike, so that an engine that keeps prefixes reads the conversation once."""

from __future__ import annotations

import pytest

from coterie import BallotMode, Committee, Message, ScriptedMember
from coterie.judges.peer_review import PeerReview
from coterie.methods.best_of import BestOf
from coterie.trace import CallStarted, Trace

CONVERSATION = [
    Message("user", "What is the capital of France?"),
    Message("assistant", "Paris."),
    Message("user", "And of Italy?"),
]


@pytest.mark.parametrize(("mode", "reviews"), [(BallotMode.TEXT, 3), (BallotMode.POINTWISE, 6)])
def test_reviews_share_instructions_and_conversation(mode: BallotMode, reviews: int) -> None:
    members = [ScriptedMember(name, (f"{name} says Rome",)) for name in ("ann", "bob", "cyd")]
    method = BestOf(("ann", "bob", "cyd"), PeerReview(ballot=mode))
    traces: list[Trace] = []
    with Committee(members, {"default": method}) as committee:
        committee.ask(CONVERSATION, on_trace=traces.append)
    asked = [event.request for event in traces[0].of(CallStarted) if event.stage == "review"]
    prompts = [request.messages[0].text for request in asked if request is not None]
    assert len(prompts) == reviews
    shared = prompts[0][: prompts[0].index("<answer-")]
    assert "And of Italy?" in shared
    assert all(prompt.startswith(shared) for prompt in prompts)
