"""Names of models, and what a request may set of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coterie.config import Config
from coterie.decisions import Threshold
from coterie.gateway import overrides
from coterie.gateway.catalog import Catalog
from coterie.gateway.refusal import Refusal
from coterie.members.scripted import ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.route import Route
from coterie.methods.vote import Vote
from coterie.routers import artifact
from coterie.routers.random import Random
from coterie.routers.trained import Trained
from coterie.types import Limits, Price


def config(**methods: object) -> Config:
    members = {name: ScriptedMember(name, ("x",)) for name in ("weak", "strong")}
    return Config(members, methods)  # type: ignore[arg-type]


def test_a_trained_routers_kind_stands_in_its_artifact(tmp_path: Path) -> None:
    (tmp_path / artifact.ROUTER).write_text(json.dumps({"format": artifact.FORMAT, "kind": "mf"}))
    trained = Route(Trained(str(tmp_path)), ("weak", "strong"), Threshold(0.5, ("weak", "strong")))
    broken = Route(Trained(str(tmp_path / "away")), ("weak", "strong"))
    catalog = Catalog(config(broken=broken, cheap=trained))
    found = catalog.find("router-mf-0.11593")
    assert found.name == "cheap"
    assert isinstance(found.method, Route)
    assert found.method.decision == Threshold(0.11593, ("weak", "strong"))
    with pytest.raises(Refusal, match="coterie/cheap"):
        catalog.find("router-bert-0.5")


def test_cheap_and_dear_are_told_by_prices_where_nothing_else_tells() -> None:
    route = Route(Random(), ("strong", "weak"))
    members = {
        name: ScriptedMember(name, ("x",), price=Price(usd, usd)) for name, usd in {"weak": 1, "strong": 9}.items()
    }
    found = Catalog(Config(members, {"rt": route})).find("router-random-0.5")
    assert isinstance(found.method, Route)
    assert found.method.decision == Threshold(0.5, ("weak", "strong"))
    with pytest.raises(Refusal, match="no price of strong, weak") as caught:
        Catalog(config(rt=route)).find("router-random-0.5")
    assert (caught.value.status, caught.value.param) == (400, "model")


def test_a_method_and_a_member_may_have_one_name() -> None:
    catalog = Catalog(config(weak=Vote(("strong",))))
    assert catalog.find("weak").is_member
    assert catalog.find("coterie/weak").method == Vote(("strong",))


def test_limits_can_only_be_tightened() -> None:
    own = Limits(deadline_s=10, max_calls=5)
    assert overrides.tightened(own, {"deadline_s": 60, "max_calls": 9, "max_usd": 1}) == Limits(
        deadline_s=10, max_calls=5, max_usd=1
    )
    assert overrides.tightened(own, {"deadline_s": 1, "max_calls": None}) == Limits(deadline_s=1, max_calls=5)


def test_a_request_for_the_best_answer_as_it_stands_asks_no_aggregator() -> None:
    method = PeerBlend(("weak", "strong"), aggregator="strong", aggregator_instruction="Be brief.")
    assert overrides.changed(method, {"final": "select", "top_k": 2}) == PeerBlend(
        ("weak", "strong"), final="select", top_k=2
    )
    with pytest.raises(Refusal, match="nothing to do"):
        overrides.changed(method, {"final": "select", "aggregator": "weak"})


def test_a_request_may_narrow_a_methods_members_and_ask_nobody_else() -> None:
    method = PeerBlend(("weak",))
    assert overrides.changed(PeerBlend(("weak", "strong")), {"members": ["weak"]}).asks == ("weak",)
    with pytest.raises(Refusal, match="does not ask strong"):
        overrides.changed(method, {"members": ["weak", "strong"]})
    with pytest.raises(Refusal, match="cannot set 'review'"):
        overrides.changed(method, {"review": {}})
