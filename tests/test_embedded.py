"""The embedded committee: three members with Gemma, two prompts of one model without."""

from __future__ import annotations

from coterie import config, embedded
from coterie.embedded import GEMMA
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.rank_and_fuse import RankAndFuse

FUSER = "smollm2-fuser"
"""Writes out of what the others answered, and answers nothing itself."""


def test_it_is_a_configuration_of_three_members_and_a_fuser() -> None:
    made = config.load(embedded.source(), {})
    assert list(made.members) == ["smollm2-chat", "smollm2-few-shot", GEMMA, FUSER]
    assert list(made.methods) == ["default", "best_of", "rank_and_fuse", "vote"]
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
