"""The embedded committee: three members with Gemma, two prompts of one model without."""

from __future__ import annotations

import pytest

from coterie import Committee, config, embedded, weights
from coterie.embedded import GEMMA
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.prospects import Feedback
from coterie.trace import ChoiceMade, ProspectsGiven

FUSER = "smollm2-fuser"
"""Writes out of what the others answered, and answers nothing itself."""


def test_it_is_a_configuration_of_three_members_and_a_fuser() -> None:
    made = config.load(embedded.source(), {})
    assert list(made.members) == ["smollm2-chat", "smollm2-few-shot", GEMMA, FUSER]
    assert list(made.methods) == ["default", "best_of", "rank_and_fuse", "route", "vote"]
    answering = tuple(name for name in made.members if name != FUSER)
    assert {vars(method)["members"] for method in made.methods.values()} == {answering}
    assert [name for name, method in made.methods.items() if FUSER in method.asks] == ["rank_and_fuse"]


def test_the_default_method_blends_fewer_than_there_are() -> None:
    default = config.load(embedded.source(), {}).methods["default"]
    assert isinstance(default, PeerBlend)
    assert (default.top_k, len(default.members), default.aggregator) == (2, 3, "smollm2-chat")


def test_without_gemma_two_prompts_of_one_model_are_left() -> None:
    data = embedded.source(gemma=False)
    made = config.load(data, {})
    assert list(made.members) == ["smollm2-chat", "smollm2-few-shot", FUSER]
    assert {member["model"] for member in data["members"].values()} == {"smollm2-135m-instruct"}
    assert {vars(method)["members"] for method in made.methods.values()} == {("smollm2-chat", "smollm2-few-shot")}
    assert GEMMA not in repr(data)


def test_without_gemma_k_stays_below_the_number_of_members() -> None:
    methods = config.load(embedded.source(gemma=False), {}).methods.values()
    assert [m.top_k for m in methods if isinstance(m, PeerBlend | RankAndFuse)] == [1, 1]


def test_what_is_handed_out_can_be_changed_without_harm() -> None:
    embedded.source()["members"].clear()
    embedded.source(gemma=False)["members"].clear()
    assert len(embedded.source()["members"]) == 4
    assert len(embedded.source(gemma=False)["members"]) == 3


def test_leaving_gemma_out_changes_nothing_else() -> None:
    whole, rest = embedded.source(), embedded.source(gemma=False)
    assert rest["limits"] == whole["limits"]
    assert all(rest["members"][name] == whole["members"][name] for name in rest["members"])
    assert list(rest["methods"]) == list(whole["methods"])


# ---- its method that routes -------------------------------------------------------------------


def test_who_would_be_asked_is_told_without_a_model_and_without_an_encoder() -> None:
    with Committee.from_config(embedded.source()) as committee:
        prospects, choice = committee.route("What is the capital of France?", "route", seed=1)
    assert [prospect.member for prospect in prospects.members] == ["smollm2-chat", "smollm2-few-shot", GEMMA]
    assert {prospect.quality for prospect in prospects.members} == {0.5}
    assert choice.order[0] == "smollm2-chat"
    assert choice.probability is not None
    assert choice.probability > 0.9


@pytest.mark.local_model
def test_one_real_member_answers_and_the_next_follows_what_is_said_of_it() -> None:
    pytest.importorskip("xllamacpp")
    weights.pull("smollm2-135m-instruct")
    source = embedded.source(gemma=False)
    with Committee.from_config(config.load(source, {})) as committee:
        first = committee.ask("What is the capital of France?", "route", seed=1)
        assert committee.feedback(first.id, Feedback(rating=0.0)).learned
        second = committee.ask("What is the capital of France?", "route", seed=1)
    for answer, author, known in ((first, "smollm2-chat", 0.5), (second, "smollm2-few-shot", 0.45)):
        assert answer.text.strip()
        assert (answer.how, answer.candidate.author, answer.usage.calls) == ("routed", author, 1)
        [given], [made] = answer.trace.of(ProspectsGiven), answer.trace.of(ChoiceMade)
        assert (given.prospects.router, given.prospects.of("smollm2-chat").quality) == ("pickllm", known)
        assert made.choice.order[0] == author
        assert made.choice.reason == f"{author} has the highest expected quality"
