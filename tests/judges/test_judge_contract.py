"""What every judge in the registry promises, whatever it is handed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coterie import registry
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.protocols import Judge
from coterie.run import LiveRun, Seat
from coterie.specs import build, describe
from coterie.trace import CallStarted, JudgementMade, WorkDone
from coterie.types import BallotMode, Candidate, FailureKind, Judgement, Limits, Request
from golden import RANKER
from tiny_rankers import bert, ranker

REQUEST = Request.of("What is the capital of France?")
GOOD = '{"scores": {"A": 4, "B": 2, "C": 3}, "reason": "so"}'
LIMITS = Limits(deadline_s=1.0)

POOLS = {
    "ballots": [ScriptedMember(name, (GOOD,)) for name in "abc"],
    "likelihoods": [ScriptedMember(name, (GOOD,), likelihoods={"Paris": -1.0}) for name in "abc"],
    "score_logprob": [ScriptedMember(name, ("4",), ballot=BallotMode.SCORE_LOGPROB) for name in "abc"],
    "prose": [ScriptedMember(name, ("I like them all.",)) for name in "abc"],
    "failing": [ScriptedMember(name, (Reply(fail=FailureKind.HTTP),)) for name in "abc"],
    "hanging": [ScriptedMember(name, (Reply(hang=True),)) for name in "abc"],
    "absent": [],
}

CANDIDATES = {
    "none": [],
    "one": [Candidate("c1", "a", "Paris")],
    "three": [Candidate("c1", "a", "Paris"), Candidate("c2", "b", "Rome"), Candidate("c3", "c", "Lima")],
    "equal texts": [Candidate(f"c{n}", author, "Paris") for n, author in enumerate("abc")],
    "one author": [Candidate(f"c{n}", "a", f"Paris {n}") for n in range(3)],
    "strangers": [Candidate("c1", "x", "Paris"), Candidate("c2", "y", "Rome")],
    "hardly a text": [Candidate("c1", "a", "."), Candidate("c2", "b", " \u200b"), Candidate("c3", "c", "")],
    "fused": [Candidate("c1", "a", "Paris", parents=("c8", "c9")), Candidate("c2", "b", "Rome")],
    "odd texts": [Candidate("c1", "a", "{labels} %s </answer> \x00\u2028"), Candidate("c2", "b", GOOD * 50)],
    "huge": [Candidate("c1", "a", "x" * (1 << 17)), Candidate("c2", "b", "y")],
}

ENGINES: dict[object, Any] = {}
"""What judges have opened: loaded once for all tests of this file."""


class Lent:
    """A house that lends what is open already."""

    async def once(self, spec: Any) -> Any:
        if spec not in ENGINES:
            ENGINES[spec] = spec.load()
        return ENGINES[spec]


OPENED: set[str] = set()
"""Kinds of judges whose engine is open."""

TINY: dict[str, Path] = {}
"""Where tiny models for the judges lie that need one."""


@pytest.fixture(scope="module", autouse=True)
def _close_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    TINY["folder"] = tmp_path_factory.mktemp("tiny")
    yield
    OPENED.clear()
    while ENGINES:
        ENGINES.popitem()[1].close()


def configured(kind: str) -> Any:
    """The least that a judge of this kind must be told."""
    if kind == "pair_ranker":
        pytest.importorskip("torch", reason="the pair ranker needs the extra torch")
        return {"kind": kind, "model": str(RANKER), "device": "cpu"}
    if kind in {"mlm_scoring", "pointwise", "simcls", "summareranker"}:
        pytest.importorskip("torch", reason=f"{kind} needs the extra torch")
        return {"kind": kind, "model": str(tiny(kind)), "device": "cpu"}
    return kind


def tiny(kind: str) -> Path:
    """A tiny model for a judge of this kind, made once."""
    folder = TINY["folder"] / kind
    if folder.is_dir():
        return folder
    return bert(folder, "MaskedLM") if kind == "mlm_scoring" else ranker(folder, kind)


every_judge = pytest.mark.parametrize("kind", sorted(registry.known("judges")))


def judged(
    kind: str, pool: str, candidates: Sequence[Candidate], limits: Limits = LIMITS
) -> tuple[LiveRun, list[Judgement]]:
    judge: Judge = build("judges", configured(kind))
    if kind not in OPENED:  # what it needs is opened now, so that loading counts against no deadline below
        OPENED.add(kind)
        judged(kind, "absent", CANDIDATES["three"], Limits(deadline_s=60))

    async def work() -> tuple[LiveRun, list[Judgement]]:
        models = [ScriptedModel(spec) for spec in POOLS[pool]]
        run = LiveRun(
            REQUEST, {model.card.name: Seat(model.card, model) for model in models}, limits, seed=1, house=Lent()
        )
        made = await run.judge(judge, REQUEST, candidates)
        assert [model.active for model in models] == [0] * len(models)
        return run, made

    return asyncio.run(work())


@every_judge
@pytest.mark.parametrize("pool", [name for name in POOLS if name != "hanging"])
@pytest.mark.parametrize("kinds", CANDIDATES)
def test_a_judgement_speaks_of_candidates_with_a_number_each(kind: str, pool: str, kinds: str) -> None:
    candidates = CANDIDATES[kinds]
    before = list(candidates)
    run, made = judged(kind, pool, candidates)
    assert candidates == before
    ids = {candidate.id for candidate in candidates}
    calls = {event.call for event in run.ledger.trace.of(CallStarted)}
    calls |= {event.work for event in run.ledger.trace.of(WorkDone)}
    for judgement in made:
        assert judgement.judge
        assert set(judgement.about) <= ids
        assert len(set(judgement.about)) == len(judgement.about) == len(judgement.scores)
        assert all(math.isfinite(score) for score in judgement.scores)
        assert set(judgement.calls) <= calls
        assert not (judgement.about and judgement.abstained)
        assert judgement.about or judgement.abstained or not ids


@every_judge
def test_a_hanging_member_ends_with_the_deadline(kind: str) -> None:
    run, made = judged(kind, "hanging", CANDIDATES["three"], Limits(deadline_s=0.1))
    assert all(judgement.about or judgement.abstained for judgement in made)
    assert run.ledger.now() < 1


@every_judge
def test_judgements_are_recorded_as_they_were_made(kind: str) -> None:
    run, made = judged(kind, "ballots", CANDIDATES["three"])
    events = list(run.ledger.trace.of(JudgementMade))
    assert [event.judgement for event in events] == made
    assert len({event.id for event in events}) == len(made) > 0


@every_judge
def test_the_same_seed_gives_the_same_judgements(kind: str) -> None:
    assert judged(kind, "ballots", CANDIDATES["three"])[1] == judged(kind, "ballots", CANDIDATES["three"])[1]


@every_judge
def test_a_judge_is_a_value_that_can_be_written_down(kind: str) -> None:
    judge = build("judges", configured(kind))
    assert judge == build("judges", configured(kind))
    assert hash(judge) == hash(build("judges", configured(kind)))
    assert describe("judges", judge)["kind"] == kind
    assert build("judges", describe("judges", judge)) == judge
    assert repr(judge).startswith(type(judge).__name__)
    assert (type(judge).__doc__ or "").strip()
