"""The page about routers' speed, made of what was measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from figures import paragraphs
from machine import cores, setting
from router_times import Elos, Indexed, Report, Row, What
from turns import Took

ENCODERS = Path(__file__).parent.parent / "docs" / "benchmarks" / "encoders.md"
NAMES = ("minilm, onnx", "static")
"""Encoders that stand beside each router: the default one, and the quickest."""
LENGTH = "100 tokens: p50"
PACKAGES = ("coterie", "numpy", "scipy", "usearch", "numkong", "sqlalchemy", "torch", "transformers")
LEAST_RECALL = 0.98
MOST_ELO = 1.0
PUBLISHED = {"sw_ranking": 2.9, "mf": 155.0, "bert": 70.0}
"""Requests a second, with the vendor's encoder, on the authors' machines (2406.18665)."""

ABOUT = """
What a router adds to a request: calls of single decisions and single lessons, one after the other in one process. A
decision goes from a vector (or a text, for routers that read it themselves) to what is expected of every member. The
rule that chooses by that takes microseconds and is not in here. Sides take turns, a block of calls each; p50 of a block
has its lowest and highest value in the column "blocks". A rate is calls by the time that all of them took.

Limits are what a decision cannot do without, done alone; peers are other ways to the same result. A ratio above 1 is
how many times as long as that the router takes.

"With an encoder" adds the median of [encoders.md](encoders.md) for a prompt of 100 tokens, which is measured there.
Routers that read the question themselves have prompts of as many tokens here, and need no vector. Those whose stored
comparisons are "any" go by a few numbers that were made of them, and take as long however many there were. RouteLLM's
causal language model is not among them: it is one forward of a model of billions of parameters, which no processor
does in the time of the others. Its published rates are those of other machines, and for BERT of a larger network, so
they say how large a time was, not which program is quicker; the peers here are on this machine.
"""


def encoders(page: Path = ENCODERS) -> Mapping[str, float]:
    """Milliseconds of a text of 100 tokens by encoder, as the encoders' page has them; empty where it has none."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    head = next((n for n, line in enumerate(lines) if LENGTH in line), len(lines))
    table = [[cell.strip() for cell in line.split("|")] for line in takewhile(bool, lines[head:])]
    column = table[0].index(LENGTH) if table else 0
    found = {row[1]: float(row[column].removesuffix(" ms")) for row in table if row[1] in NAMES}
    return {name: found[name] for name in NAMES if name in found}


def threads() -> str:
    """How many a call may take."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    products = wanted or f"as libraries choose on {cores()} cores"
    return f"products and networks {products}; a search of the graph 1"


def page(report: Report, load: float, command: str) -> str:
    """The whole page."""
    vectors = encoders()
    lines = [
        "# What a router costs in time",
        "",
        *paragraphs(ABOUT),
        *setting(PACKAGES),
        f"- Load average when it began: {load:.1f}" + (" (the machine was shared)" if load > 1 else ""),
        f"- Command: `{command}`",
        f"- Took {sum(report.timed_s.values()):.0f} s: "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.timed_s.items()),
        f"- Threads: {threads()}",
        *(f"- {fact}" for fact in report.facts),
        "",
        "## Targets",
        "",
        *_targets(report),
        "",
    ]
    if decisions := _of(report, "decision"):
        lines += ["## Decisions", "", *_decisions(decisions, vectors), ""]
    if report.indexes:
        lines += ["## The index of nearest vectors", "", *_indexes(report.indexes), ""]
    if feedback := _of(report, "feedback"):
        lines += ["## Feedback, in memory", "", *_plain(feedback), ""]
    if journal := _of(report, "journal"):
        lines += ["## The journal in SQLite", "", *paragraphs(JOURNAL), *_plain(journal), ""]
    return "\n".join([*lines, "## Beside limits and peers", "", *_beside(report.rows), ""])


JOURNAL = """
A lesson is kept before it counts: whoever gives feedback waits for the append. Each decision of a router that learns
while it serves reads its journal once, unless it may be some seconds old (`fresh_s`). So what an append costs comes to
the feedback above, and a reading to the decisions of eagle, metallm and pickllm.
"""


def _of(report: Report, what: What) -> list[Row]:
    return [row for row in report.rows if row.what == what]


# ---- targets --------------------------------------------------------------------------------------


def _targets(report: Report) -> Iterator[str]:
    yield "| what | stored | target | measured | |"
    yield "|---|---:|---|---|---|"
    for row in report.rows:
        if row.most_ms is not None:
            limits = [took.p50_ms for name, took in row.beside.items() if name.startswith("limit")]
            measured = f"p50 {_ms(row.took.p50_ms)} ms" + "".join(f" (the limit: {_ms(ms)} ms)" for ms in limits)
            yield _target(f"{row.what}: {row.router}", row.stored, f"p50 <= {row.most_ms:g} ms", measured, row.held)
        if row.least_per_second is not None:
            wanted, measured = f">= {row.least_per_second:g}/s", f"{_rate(row.took.per_second)}/s"
            yield _target(f"{row.what}: {row.router}", row.stored, wanted, measured, row.held)
    for index in report.indexes:
        yield _target(
            "recall@20", index.size, f">= {LEAST_RECALL}", f"{index.recall:.4f}", index.recall >= LEAST_RECALL
        )
    for elos in report.elos:
        yield _target(*_elos(elos))
    for row in report.rows:
        rate = PUBLISHED.get(row.router.partition(",")[0])
        if rate and row.what == "decision":
            beyond = "from the text on" if row.reads == "texts" else "without an encoder"
            measured = f"{_rate(row.took.per_second)}/s {beyond}"
            theirs = f"RouteLLM's: {rate:g}/s with its own"
            yield f"| decision: {row.router} | {_count(row.stored)} | {theirs} | {measured} | |"


def _elos(elos: Elos) -> tuple[str, int, str, str, bool]:
    measured = f"{elos.off:.2f} Elo, {elos.queries} queries (the peer itself, stopped early: {elos.stopped:.2f})"
    what = "sw_ranking, furthest member from the reference solution"
    return what, elos.battles, f"<= {MOST_ELO:g} Elo", measured, elos.off <= MOST_ELO


def _target(what: str, stored: int, wanted: str, measured: str, held: bool | None) -> str:
    told = "held" if held else "**missed**"
    return f"| {what} | {_count(stored)} | {wanted} | {measured} | {told} |"


# ---- tables ---------------------------------------------------------------------------------------


def _decisions(rows: Sequence[Row], vectors: Mapping[str, float]) -> Iterator[str]:
    heads = [f"with {name} ({ms:g} ms): p50 \\| decisions/s" for name, ms in vectors.items()]
    yield f"| {' | '.join(['router', 'stored', 'n', 'p50', 'p99', 'blocks', 'decisions/s', *heads])} |"
    yield f"|---|{'---:|' * (6 + len(heads))}"
    for row in rows:
        encoded = [_encoded(row, ms) for ms in vectors.values()]
        yield f"| {' | '.join([row.router, _count(row.stored), *_cells(row.took), *encoded])} |"


def _encoded(row: Row, ms: float) -> str:
    """A decision that begins with a text."""
    if row.reads != "vectors":
        return "no vector" if row.reads else ""
    whole = row.took.p50_ms + ms
    return f"{_ms(whole)} ms \\| {_rate(1e3 / whole)}"


def _plain(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | stored | n | p50 | p99 | blocks | per second |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        yield f"| {' | '.join([row.router, _count(row.stored), *_cells(row.took)])} |"


def _indexes(rows: Sequence[Indexed]) -> Iterator[str]:
    yield "| stored | recall@20 | queries | since the size before it | threads that stored the last |"
    yield "|---:|---:|---:|---:|---:|"
    for row in rows:
        yield f"| {row.size:,} | {row.recall:.4f} | {row.queries:,} | {row.built_s:.0f} s | {row.threads} |"


def _beside(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | stored | beside | n | p50 | p99 | blocks | per second | ratio |"
    yield "|---|---:|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        for name, took in row.beside.items():
            ratio = row.took.p50_ms / took.p50_ms
            cells = [f"{row.what}: {row.router}", _count(row.stored), name, *_cells(took), f"{ratio:.3g}"]
            yield f"| {' | '.join(cells)} |"


def _count(stored: int) -> str:
    return f"{stored:,}" if stored else "any"


def _cells(took: Took) -> list[str]:
    low, high = took.spread_ms
    return [
        f"{took.n:,}",
        f"{_ms(took.p50_ms)} ms",
        f"{_ms(took.p99_ms)} ms",
        f"{_ms(low)} to {_ms(high)}",
        _rate(took.per_second),
    ]


def _ms(ms: float) -> str:
    return f"{ms:.3g}" if ms < 1_000 else f"{ms:,.0f}"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"
