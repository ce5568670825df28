"""Rows that nobody measured, drawn from a seed: for tests alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from coterie.evaluation.blending.header import DataSet, Header, Measure
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.rows import Kind, Question, Row

BERT = Measure("bertscore", "BERTScore F1", "made up for tests", percent=True, digits=2)
ALIGN = Measure("alignscore", "AlignScore", "made up for tests", percent=True, digits=2)

HEADER = Header(
    title="A made-up evaluation",
    started_at="2026-01-01T00:00:00Z",
    metrics=(BERT,),
    reference={"method": "llm_blender", "top_k": 3},
    versions={"coterie": "0.0.0"},
    hardware="none: made up",
    settings={"max_tokens": 128},
    command="made up",
)


@dataclass(frozen=True)
class Made:
    """What rows are drawn for."""

    datasets: tuple[str, ...] = ("CoQA", "QuAC")
    conversations: int = 30
    turns: int = 4
    members: tuple[str, ...] = ("ann", "bob", "cid", "dot")
    seed: int = 1


def recorded(made: Made = Made(), header: Header = HEADER) -> Recorded:
    """Everything there is: members, chance, the oracle, LLM-Blender, peer blending, policies, pools of many sizes."""
    data = tuple(
        DataSet(name, "made-up domain", made.conversations * 9, made.conversations * made.turns * 9, 2, 7, "made up")
        for name in made.datasets
    )
    whole = replace(header, data=data, members=tuple({"name": name, "engine": "none"} for name in made.members))
    return Recorded(whole, tuple(rows(made)), {q.place: q for q in questions(made)})


def questions(made: Made) -> Iterator[Question]:
    for dataset in made.datasets:
        for c in range(made.conversations):
            for turn in range(1, made.turns + 1):
                yield Question(dataset, f"c{c}", turn, f"What is {turn} plus {c}?", (f"{turn + c}",))


def rows(made: Made) -> Iterator[Row]:
    rng = random.Random(made.seed)
    for question in questions(made):
        worth = rng.gauss(0.7, 0.05)
        strengths = {name: worth + rng.gauss(0.01 * n, 0.05) for n, name in enumerate(made.members)}
        base = Row(*question.place, method="", kind="single", seed=0)
        yield from _singles(base, strengths, rng)
        yield from _others(base, strengths, rng)


def _singles(base: Row, strengths: dict[str, float], rng: random.Random) -> Iterator[Row]:
    for n, (name, quality) in enumerate(strengths.items()):
        time_s = 0.4 + 0.1 * n + rng.random() / 10
        yield answered(base, name, "single", quality, time_s, author=name, tokens=40 * (n + 1))


def _others(base: Row, strengths: dict[str, float], rng: random.Random) -> Iterator[Row]:
    best = max(strengths, key=strengths.__getitem__)
    drawn = rng.choice(list(strengths))
    yield answered(base, "random", "baseline", strengths[drawn], 0.5, author=drawn)
    yield answered(base, "oracle", "oracle", strengths[best], 0.8, author=best, n=len(strengths))
    for k, better in ((1, 0.0), (3, 0.01)):
        quality = _mean(strengths.values()) + better + rng.gauss(0.01, 0.02)
        kind: Kind = "selection" if k == 1 else "blend"
        yield blended(base, "llm_blender", kind, len(strengths), k, quality, rank_s=30 + rng.random(), reviews=0)
    yield from _peers(base, strengths, rng)


def _peers(base: Row, strengths: dict[str, float], rng: random.Random) -> Iterator[Row]:
    for n in range(2, len(strengths) + 1):
        pool = list(strengths.values())[-n:]
        for k in (1, 2, 3) if n == len(strengths) else (2,):
            for policy in ("full_ranking", "alternate_ranking", "dynamic_elimination", "first_k"):
                skips = policy == "first_k" or (policy == "alternate_ranking" and base.turn % 2 == 0)
                gone = policy == "dynamic_elimination" and base.turn > 2
                asked = min(k, n) if skips else n - n // 2 if gone else n
                quality = _mean(pool) + 0.02 + 0.004 * k - 0.01 * skips + rng.gauss(0, 0.03)
                reviews = 0 if skips or asked < 2 else asked - 1
                row = blended(base, "peer_blend", "blend", n, k, quality, rank_s=0.6 * reviews, reviews=reviews)
                yield replace(
                    row, policy=policy, ranked=reviews > 0, asked=asked, generations=asked, reviews=asked * reviews
                )


def blended(base: Row, method: str, kind: Kind, n: int, k: int, quality: float, *, rank_s: float, reviews: int) -> Row:
    """A row of a method that asks n members, ranks and fuses."""
    fuse_s = 0.5 if kind == "blend" else 0.0
    row = answered(base, method, kind, quality, 0.8 + rank_s + fuse_s, n=n, tokens=60 * n + 30 * reviews)
    return replace(
        row,
        top_k=k,
        judge="peer_review" if method == "peer_blend" else "pair_ranker",
        rule="borda" if method == "peer_blend" else "max_logits",
        how="fused" if kind == "blend" else "ranked",
        generate_s=0.8,
        rank_s=rank_s,
        fuse_s=fuse_s,
        ranked=True,
        reviews_each=reviews,
        generations=n,
        reviews=n * reviews,
        fusions=int(kind == "blend"),
        similarity=0.5,
        memory_bytes=2**30,
    )


def answered(
    base: Row, method: str, kind: Kind, quality: float, time_s: float, *, n: int = 1, author: str = "", tokens: int = 50
) -> Row:
    """A row of a method that wrote something."""
    return replace(
        base,
        method=method,
        kind=kind,
        n=n,
        text=f"{method} says something of turn {base.turn}.",
        author=author,
        how="only",
        quality={"bertscore": quality},
        time_s=time_s,
        generate_s=time_s,
        wall_s=time_s * 1.02,
        asked=n,
        reviews_each=0,
        generations=n,
        reviews=0,
        fusions=0,
        input_tokens=200 * n,
        output_tokens=tokens,
        cost_usd=tokens / 1e6,
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
